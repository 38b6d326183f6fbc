// Before the first paint: the light the visitor chose last time, or the system's.
(() => {
  const dark = () => (localStorage.getItem("studio-light") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const apply = () => document.body && document.body.classList.toggle("dark", dark());
  document.addEventListener("DOMContentLoaded", apply);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#light")) return;
    localStorage.setItem("studio-light", dark() ? "light" : "dark");
    apply();
  });
})();

// What is asked before the visit has begun waits for its key.
window.studioBegun = new Promise((resolve) => { window.studioBegin = () => setTimeout(resolve, 50); });
window.studioAsk = (trigger, name, what) => window.studioBegun.then(() => trigger(name, what));
