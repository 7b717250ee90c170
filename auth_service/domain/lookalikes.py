"""Letters of other alphabets that look like a Latin one.

From the confusables of Unicode 13.0.0 (UTS #39, confusables.txt of 2020-02-13): whatever is shown there as alike to one
ASCII letter, of the alphabets below, after NFKC and case folding, which settle what is alike by width, style or case.
Where the small and the capital letter are like different ones, the small one decides: Greek nu is here for v, so its
capital and a Latin N go unnoticed in a name that is all Greek capitals.
"""

# Latin, Greek, Cyrillic, Armenian, Coptic, Cherokee, Lisu.
_ALIKE = {
    "a": "ɑαаᎪꓮ",
    "b": "ƅβвьᏏᏴꓐꞵ",
    "c": "сᏟᴄⲥꓚ",
    "d": "ԁᎠᏧꓒꓓ",
    "e": "εеҽᎬꓰꬲ",
    "f": "ϝքẝꓝꞙꬵ",
    "g": "ƍɡԍցᏀᏳᶃꓖ",
    "h": "ηнһհᎻᏂⲏꓧ",
    "i": "ıɩɪιіӏᎥꙇ",
    "j": "ʝϳјᎫꓙ",
    "k": "κкᏦⲕꓗ",
    "l": "ǀᏞⲓⳑꓡꓲ",
    "m": "μϻмᎷⲙꓟ",
    "n": "ոռⲛꓠ",
    "o": "οσоօᴏᴑⲟꓳꬽ",
    "p": "ρрᏢⲣꓑ",
    "q": "ԛգզ",
    "r": "ʀгᎡᎱᏒᴦⲅꓣꭇꭈ",
    "s": "ƽѕտᏕᏚꓢꜱ",
    "t": "τтᎢⲧꓔ",
    "u": "ʋυսᴜꓴꞟꭎꭒ",
    "v": "νѵᏙᴠꓦ",
    "w": "ɯѡԝաᎳᏔᴡꓪ",
    "x": "χхⲭꓫꭓ",
    "y": "ɣʏγуүᎩᎽᶌỿⲩꓬꭚ",
    "z": "ζᏃᴢꓜ",
}

LATIN_FOR = {ord(letter): latin for latin, letters in _ALIKE.items() for letter in letters}
"""For `str.translate`."""
