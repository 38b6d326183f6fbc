// The stage: a picture comes in by drop, paste, camera, file or sample; before and after are wiped over each other.
const find = (selector) => element.querySelector(selector);
const stage = find(".studio-stage");
const file = find("#picture-file");
const panel = find(".camera-panel");
const video = find("video");
let before = "reconstruction";
let shown = { version: 0, at: 0 };

const word = (text) => { find(".drop-word").textContent = text; };

function take(blob, name) {
  if (!blob) return;
  const limit = props.value.limit || 20 << 20;
  if (blob.size > limit) return word(`This file is too large: at most ${Math.floor(limit / (1 << 20))} MB are taken.`);
  word("");
  const reader = new FileReader();
  reader.onload = () => ask({ do: "open", picture: reader.result });
  reader.onerror = () => word("This file cannot be read.");
  reader.readAsDataURL(blob);
}

function ask(what) {
  closeCamera();
  stage.dataset.waiting = "yes";
  window.studioAsk(trigger, "act", what);
}

function closeCamera() {
  panel.hidden = true;
  (video.srcObject ? video.srcObject.getTracks() : []).forEach((track) => track.stop());
  video.srcObject = null;
}

find("#choose").addEventListener("click", () => file.click());
file.addEventListener("change", () => { take(file.files[0]); file.value = ""; });
find("#surprise").addEventListener("click", () => ask({ do: "surprise" }));
find("#samples").addEventListener("click", (event) => {
  const sample = event.target.closest("[data-sample]");
  if (sample) ask({ do: "sample", name: sample.dataset.sample });
});
find("#camera").addEventListener("click", async () => {
  let stream = null;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
    closeCamera();  // one that an earlier press has opened
    video.srcObject = stream;
    panel.hidden = false;
    word("");
    find("#shoot").focus();
    await video.play();
  } catch {
    if (video.srcObject !== stream) return;  // it was closed before it began
    closeCamera();
    word("There is no camera, or the browser was not allowed to use it.");
  }
});
function leaveCamera() {
  closeCamera();
  find("#camera").focus();
}
find("#camera-off").addEventListener("click", leaveCamera);
panel.addEventListener("keydown", (event) => { if (event.key === "Escape") leaveCamera(); });
find("#shoot").addEventListener("click", () => {
  if (!video.videoWidth) return;  // the first frame is still to come
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => take(blob), "image/png");
});

// Drop and paste work everywhere on the page, so that no one has to aim.
const holdsFile = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
document.addEventListener("dragover", (event) => {
  if (!holdsFile(event)) return;
  event.preventDefault();
  stage.dataset.over = "yes";
});
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) delete stage.dataset.over; });
document.addEventListener("drop", (event) => {
  delete stage.dataset.over;
  if (!holdsFile(event)) return;
  event.preventDefault();
  const dropped = event.dataTransfer.files[0];
  if (dropped && dropped.name.endsWith(".json")) dropped.text().then((state) => window.studioAsk(trigger, "act", { do: "restore", state }));
  else take(dropped);
});
document.addEventListener("paste", (event) => {
  const item = [...event.clipboardData.items].find((one) => one.type.startsWith("image/"));
  if (item) take(item.getAsFile());
});

// Before and after
const wipe = find("#wipe");
const setWipe = (percent) => find(".wipe").style.setProperty("--wipe", `${percent}%`);
wipe.addEventListener("input", () => setWipe(wipe.value));
element.querySelectorAll(".side").forEach((side) => side.addEventListener("click", () => {
  before = side.dataset.before;
  if (Number(wipe.value) < 5) { wipe.value = 50; setWipe(50); }
  showBefore();
}));
function showBefore() {
  element.querySelectorAll(".side").forEach((side) => side.setAttribute("aria-pressed", side.dataset.before === before));
  find("#before").src = find(`#${before}`).src;
}
find("#new-picture").addEventListener("click", () => {
  stage.dataset.open = "no";
  stage.dataset.back = "yes";
  find("#choose").focus();
});
find("#back").addEventListener("click", () => { closeCamera(); stage.dataset.open = "yes"; find("#new-picture").focus(); });

document.addEventListener("keydown", (event) => {
  const writing = event.target.closest("textarea, input[type=text], input:not([type])");
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !writing) {
    event.preventDefault();
    const button = document.querySelector(event.shiftKey ? "#redo" : "#undo");
    (button.querySelector("button") || button).click();
  } else if (event.key === "/" && !writing) {
    event.preventDefault();
    document.querySelector("#wish textarea, #wish input").focus();
  }
});

function update() {
  const value = props.value;
  delete stage.dataset.waiting;
  if (value.visit) {
    window.studioBegin();
    sessionStorage.setItem("studio-visit", value.visit);
    if (location.hash.startsWith("#open=")) history.replaceState(null, "", location.pathname);
  }
  if (value.samples !== undefined) find("#samples").innerHTML = value.samples;
  if (value.refused) word(value.refused);
  if (value.open === undefined) return;
  const quick = value.quality === "preview";
  if (quick) window.dispatchEvent(new Event("studio-moved"));
  const version = value.version || 0;
  // An answer that comes late, to what was asked for before, is not shown.
  if (version && version < shown.version) return;
  if (quick && value.at && value.at <= shown.at) return;
  shown = { version: version || shown.version, at: quick ? shown.at : value.at || shown.at };
  if (value.open) { closeCamera(); delete stage.dataset.back; }
  if (value.open !== null) stage.dataset.open = value.open ? "yes" : "no";
  if (value.photo) {
    stage.toggleAttribute("data-drawn", value.drawn);
    find("[data-before=reconstruction] span").textContent = value.drawn ? "As it was drawn" : "As the model draws it";
    if (value.drawn) before = "reconstruction";
    find("#photo").src = value.photo;
    find("#reconstruction").src = value.reconstruction;
    showBefore();
  }
  if (value.after) find("#after").src = value.after;
  if (value.alt) find("#after").alt = value.alt;
  stage.dataset.quality = value.quality;
  if (version) stage.dataset.version = version;
}
watch("value", update);
update();
window.studioBegun.then(() => { window.studioKnock = () => trigger("hear", {}); });
