// The queue: what is dragged to its place is sent by the form that holds the order.
(() => {
  const sortable = () => document.querySelectorAll("ol.queue[data-form]").forEach((list) => {
    if (Sortable.get(list)) return;
    Sortable.create(list, {
      handle: ".grip",
      animation: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 120,
      onEnd: ({ oldIndex, newIndex }) => {
        if (oldIndex !== newIndex) document.getElementById(list.dataset.form).requestSubmit();
        else document.body.dispatchEvent(new Event("missed"));
      },
    });
  });
  sortable();
  document.addEventListener("htmx:after:swap", (event) => {
    sortable();
    // What was written stays where it is refused; the sentence that says why stands below.
    const form = event.detail.ctx.sourceElement;
    if (!form.matches(".menu form")) return;
    form.parentNode.open = false;
    if (!document.querySelector("#answer .bad")) form.reset();
  });
  // What comes in while something is dragged would take it out of the hand.
  document.addEventListener("htmx:before:swap", (event) => {
    if (document.querySelector(".sortable-chosen")) event.preventDefault();
  });
})();
