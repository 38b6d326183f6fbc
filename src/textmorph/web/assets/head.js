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
window.studioAsk = (trigger, name, what) => window.studioBegun.then(() => {
  trigger(name, what);
  window.studioHear();
});

// Gradio ends the stream of answers when none is due; what is asked just then is answered, but not heard until the page
// asks again. So it does, a little later and for nothing; the stage puts the question in `studioKnock`.
(() => {
  let timers = [];
  window.studioHear = () => {
    timers.forEach(clearTimeout);
    timers = [200, 800, 2500].map((wait) => setTimeout(() => window.studioKnock && window.studioKnock(), wait));
  };
  document.addEventListener("click", window.studioHear);
  document.addEventListener("keydown", (event) => { if (event.key === "Enter") window.studioHear(); });
})();
