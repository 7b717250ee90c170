// The token of a mailed link is behind `#`. It goes into the form, and out of the address and the history.
const field = document.getElementById("token");
const token = new URLSearchParams(location.hash.slice(1)).get("token");
if (field && token) {
  field.value = token;
  field.closest(".field").hidden = true;
  history.replaceState(null, "", location.pathname);
}
