// Everything works without this: it spares a press of the button, and keeps the reader's place when a form reloads.
const PLACE = "place";
const folds = () => [...document.querySelectorAll("main details")];
// A comparison brings a fold of its own, so that a fold is known by its section and its place there.
const nameOf = (fold) => {
  const section = fold.closest("section");
  const inside = section ? [...section.querySelectorAll("details")] : folds();
  return `${section?.getAttribute("aria-labelledby") ?? ""} ${inside.indexOf(fold)}`;
};
const controls = () => [...document.querySelectorAll("main form[data-stay] :is(input, select, button):not([type=hidden])")];

for (const form of document.querySelectorAll("form[data-stay]")) {
  form.addEventListener("submit", () => {
    const place = {
      path: location.pathname,
      top: scrollY,
      folds: Object.fromEntries(folds().map((fold) => [nameOf(fold), fold.open])),
      focus: controls().indexOf(document.activeElement),
    };
    sessionStorage.setItem(PLACE, JSON.stringify(place));
  });
}

const place = JSON.parse(sessionStorage.getItem(PLACE) ?? "null");
sessionStorage.removeItem(PLACE);
if (place?.path === location.pathname) {
  history.scrollRestoration = "manual";
  for (const fold of folds()) fold.open = place.folds[nameOf(fold)] ?? fold.open;
  controls()[place.focus]?.focus({ preventScroll: true });
  scrollTo(0, place.top);
}

for (const form of document.querySelectorAll("form[data-at-once]")) {
  form.addEventListener("change", () => form.requestSubmit());
}
for (const button of document.querySelectorAll("button[data-copy]")) {
  const text = document.getElementById(button.dataset.copy);
  button.hidden = false;
  button.addEventListener("click", async () => {
    const status = button.nextElementSibling;
    try {
      await navigator.clipboard.writeText(text.textContent);
      status.textContent = "Copied.";
    } catch {
      // Without TLS a browser gives no access to the clipboard.
      getSelection().selectAllChildren(text);
      status.textContent = "Selected: press Ctrl+C.";
    }
  });
}
for (const button of document.querySelectorAll("button[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
if (document.querySelector("[data-reload]")) setTimeout(() => location.reload(), 3000);
