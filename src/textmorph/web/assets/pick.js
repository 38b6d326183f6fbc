// Suggestions and gallery: a press on a picture is a wish, or brings wishes back.
element.addEventListener("click", (event) => {
  const idea = event.target.closest("[data-text]");
  const item = event.target.closest("button[data-item]");
  if (idea) window.studioAsk(trigger, "act", { do: "wish", text: idea.dataset.text, at: Date.now() });
  if (item) window.studioAsk(trigger, "act", { do: "recall", item: Number(item.dataset.item), at: Date.now() });
});
