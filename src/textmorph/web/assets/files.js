// Files in (a state, a saved edit) and out (a download that starts by itself, a link to copy).
const edit = element.querySelector("#edit-file");
const state = element.querySelector("#state-file");
const link = element.querySelector(".link-line");
element.querySelector("#choose-edit").addEventListener("click", () => edit.click());
element.querySelector("#choose-state").addEventListener("click", () => state.click());
for (const [id, what] of [["save-state", "state"], ["download-direction", "direction"], ["download-latent", "latent"]]) {
  element.querySelector(`#${id}`).addEventListener("click", () => window.studioAsk(trigger, "act", { do: "save", what }));
}
edit.addEventListener("change", () => {
  const chosen = edit.files[0];
  if (!chosen) return;
  const reader = new FileReader();
  reader.onload = () => window.studioAsk(trigger, "act", { do: "add_edit", name: chosen.name, content: reader.result, at: Date.now() });
  reader.readAsDataURL(chosen);
  edit.value = "";
});
state.addEventListener("change", async () => {
  const chosen = state.files[0];
  if (chosen) window.studioAsk(trigger, "act", { do: "restore", state: await chosen.text(), at: Date.now() });
  state.value = "";
});
element.querySelector("#copy-link").addEventListener("click", async (event) => {
  const field = element.querySelector("#link-field");
  field.select();
  try { await navigator.clipboard.writeText(field.value); } catch { document.execCommand("copy"); }
  event.target.textContent = "Copied";
});
let sent = 0;
watch("value", () => {
  const value = props.value || {};
  if (value.sent === sent) return;
  sent = value.sent;
  if (value.url) {
    const anchor = document.createElement("a");
    anchor.href = value.url;
    anchor.download = value.name;
    document.body.append(anchor);
    anchor.click();
    anchor.remove();
  }
  if (value.link) {
    element.querySelector("#link-field").value = new URL(value.link, location.href).href;
    element.querySelector("#copy-link").textContent = "Copy";
    element.querySelector(".link-words").textContent = value.words;
    link.hidden = false;
    element.querySelector("#link-field").focus();
  }
});
