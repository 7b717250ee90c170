// A button beside a secret puts it into the clipboard; without scripts there is none, and the text is selected by hand.
"use strict";
for (const button of document.querySelectorAll("button[data-copy]")) {
  const field = document.getElementById(button.dataset.copy);
  field.addEventListener("focus", () => field.select());
  // Only pages that came safely, by TLS or from this machine, have a clipboard.
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(field.value);
      button.textContent = "Copied";
    } catch {
      field.focus();
      button.textContent = "Copy it by hand";
    }
  });
}
