// The page that shows /openapi.json: Swagger UI, from this service and nowhere else.
"use strict";

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

const place = document.getElementById("explorer");
SwaggerUIBundle({
  domNode: place,
  url: place.dataset.openapi,
  // Else it asks a validator of somebody else's.
  validatorUrl: "none",
  // With links of its own in them its buttons cannot be used by a screen reader.
  deepLinking: false,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  tryItOutEnabled: true,
  persistAuthorization: false,
  syntaxHighlight: false,
});

// Fields to which it gives no name, and boxes that only a mouse can scroll.
const names = { "textarea.body-param__text": "Request body", "input.operation-filter-input": "Filter by tag or path" };
new MutationObserver(() => {
  for (const [which, name] of Object.entries(names)) {
    place.querySelectorAll(`${which}:not([aria-label])`).forEach((field) => field.setAttribute("aria-label", name));
  }
  place.querySelectorAll("tr select:not([aria-label])").forEach((choice) => {
    const row = choice.closest("tr").dataset;
    choice.setAttribute("aria-label", row.paramName ?? row.propertyName ?? "Choice");
  });
  place.querySelectorAll("pre:not([tabindex])").forEach((box) => box.setAttribute("tabindex", "0"));
  const dialog = place.querySelector(".modal-ux-content:not([data-seen])");
  if (dialog) {
    // It opens at its end, where the last field took the focus.
    dialog.dataset.seen = "yes";
    dialog.querySelector("input, button").focus();
    dialog.scrollTop = 0;
  }
}).observe(place, { childList: true, subtree: true });
