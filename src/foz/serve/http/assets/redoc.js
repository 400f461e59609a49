// Starts Redoc on /redoc.
const place = document.getElementById("reference");
Redoc.init(place.dataset.openapi, { expandResponses: "200", nativeScrollbars: true }, place);
