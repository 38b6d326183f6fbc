// The wishes: while a slider moves, small pictures; on release the whole one.
const rowOf = (target) => target.closest("[data-row]");
const stops = (slider) => slider.dataset.stops.split(",").map(Number);
const isStrength = (slider) => slider.classList.contains("strength");

function values(slider) {
  const row = Number(rowOf(slider).dataset.row);
  return isStrength(slider)
    ? { row, strength: Number(slider.value) }
    : { row, num_channels: stops(slider)[Number(slider.value)] };
}

function say(slider) {
  const value = isStrength(slider) ? Number(slider.value) : stops(slider)[Number(slider.value)];
  const words = isStrength(slider)
    ? (value === 0 ? "none" : `${value > 0 ? "+" : "−"}${Math.abs(value).toFixed(1)}`.replace("−", "-"))
    : `${value} channel${value === 1 ? "" : "s"}`;
  slider.parentElement.querySelector("output").textContent = words;
  slider.setAttribute("aria-valuetext", words);
  const share = (slider.value - slider.min) / (slider.max - slider.min || 1);
  slider.style.setProperty("--at", share.toFixed(4));
}

element.addEventListener("input", (event) => {
  if (!event.target.matches("input.range")) return;
  say(event.target);
  move({ ...values(event.target), at: Date.now() });
});

// One question at a time; of those that come meanwhile the last one is asked when the answer is there.
let asked = 0;
let next = null;
function move(what) {
  if (asked && Date.now() - asked < 1500) { next = what; return; }
  asked = Date.now();
  next = null;
  window.studioAsk(trigger, "moving", what);
}
// A moment after the answer, when the stream that it came by may have ended: see head.js.
window.addEventListener("studio-moved", () => setTimeout(() => { asked = 0; if (next) move(next); }, 15));

element.addEventListener("change", (event) => {
  const input = event.target;
  if (input.matches("input.range")) next = null;
  if (input.matches("input.range")) window.studioAsk(trigger, "act", { do: "change", at: Date.now(), ...values(input) });
  if (input.matches("input.on")) {
    window.studioAsk(trigger, "act", { do: "change", at: Date.now(), row: Number(rowOf(input).dataset.row), on: input.checked });
  }
});
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const row = Number(rowOf(button).dataset.row);
  const does = { delete: "remove", sheet: "sheet", "save-direction": "direction" };
  const name = Object.keys(does).find((one) => button.classList.contains(one));
  if (name) window.studioAsk(trigger, "act", { do: does[name], row, at: Date.now() });
});
// What the server says wins over what was dragged; a slider in the hand is left alone.
watch("value", () => element.querySelectorAll("input").forEach((input) => {
  if (input.matches(":active")) return;
  if (input.type === "checkbox") input.checked = input.hasAttribute("checked");
  else input.value = input.getAttribute("value");
}));
