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
