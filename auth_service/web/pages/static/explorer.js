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
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  tryItOutEnabled: true,
  persistAuthorization: false,
});
