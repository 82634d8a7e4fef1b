// What pages need besides htmx: times in the viewer's zone, keys, chart tips, and trouble told.
(() => {
  const $ = (selector) => document.querySelector(selector);
  const root = document.documentElement;
  const make = (name, text) => Object.assign(document.createElement(name), { textContent: text });

  // Times: absolute ones once, ages every second.
  const units = [[172800, 86400, "d"], [5400, 3600, "h"], [60, 60, "min"], [0, 1, "s"]];
  const said = new Intl.DateTimeFormat([], { dateStyle: "medium", timeStyle: "short" });
  const age = (time) => {
    const seconds = Math.max(0, (Date.now() - new Date(time.dateTime)) / 1000);
    const [, size, unit] = units.find(([least]) => seconds >= least);
    const value = seconds / size;
    return `${size > 60 ? value.toFixed(1).replace(/\.0$/, "") : Math.round(value)} ${unit}`;
  };
  const times = () => document.querySelectorAll("time").forEach((time) => {
    const local = said.format(new Date(time.dateTime));
    const past = "ago" in time.dataset;
    const text = past ? `${age(time)} ago` : "since" in time.dataset ? age(time) : local;
    if (time.textContent !== text) time.textContent = text;
    if (past && time.title !== local) time.title = local;
  });
  times();
  setInterval(times, 1000);
  document.addEventListener("htmx:after:swap", times);

  // The switch offers what is not shown, also where the system chose.
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  if (!root.dataset.theme && dark && $("[name=theme]")) $("[name=theme]").value = "light";

  // Filters apply when they are chosen.
  document.addEventListener("change", (event) => {
    if ("submits" in event.target.dataset) event.target.form.requestSubmit();
  });

  // Keys: ? shows them, / goes to the filter, g and a letter to a screen.
  let before = "";
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea, dialog[open]")) return;
    const place = before === "g" && $(`nav a[data-key="${CSS.escape(event.key)}"]`);
    before = event.key;
    if (place) return place.click();
    if (event.key === "?") $("#keys").showModal();
    if (event.key === "/" && $("#filter")) {
      event.preventDefault();
      $("#filter").focus();
    }
  });

  // The stream: whether it is there, and what could not be fetched.
  const live = (state) => () => { root.dataset.live = state; };
  document.addEventListener("htmx:sse:after:connection", live("on"));
  document.addEventListener("htmx:sse:error", live("off"));
  document.addEventListener("htmx:sse:close", live("off"));
  const trouble = (event) => {
    const response = event.detail?.ctx?.response;
    if (event.target.id === "live") return live("off")();
    const id = response?.headers.get("x-request-id");
    const retry = make("button", "Try again");
    retry.onclick = () => location.reload();
    $("#notice").replaceChildren(
      `This page could not be brought up to date${id ? ` (request ${id})` : ""}.`, retry);
  };
  document.addEventListener("htmx:response:error", trouble);
  document.addEventListener("htmx:error", trouble);
  document.addEventListener("htmx:after:swap", () => $("#notice").replaceChildren());

  // Tips of charts: what the drawing's own titles say, where the pointer is.
  const tip = Object.assign(make("div"), { className: "tip", hidden: true, ariaHidden: "true" });
  document.body.append(tip);
  let shown;
  const hide = () => { shown?.group.prepend(shown.title); shown = null; tip.hidden = true; };
  const show = (event) => {
    const group = event.target.closest?.("svg[role=img] g");
    if (!group) return hide();
    if (group !== shown?.group) {
      hide();
      const title = group.querySelector("title");
      if (!title) return;
      shown = { group, title };
      title.remove();
      const lines = title.textContent.split("\n");
      tip.replaceChildren(...lines.map((line, row) => make(row ? "span" : "b", line)));
      tip.hidden = false;
    }
    const width = tip.offsetWidth;
    const x = Math.min(Math.max(8, event.clientX - width / 2), innerWidth - width - 8);
    tip.style.transform = `translate(${x}px, ${Math.max(8, event.clientY - tip.offsetHeight - 14)}px)`;
  };
  addEventListener("pointermove", show, { passive: true });
  addEventListener("pointerdown", show, { passive: true });
  addEventListener("scroll", hide, { passive: true, capture: true });
  document.addEventListener("htmx:before:swap", hide);
})();
