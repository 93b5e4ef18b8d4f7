"use strict";
// Everything that comes from a project (names above all) reaches the page as text of nodes, never as markup.
(() => {
  const {runs, labels} = JSON.parse(document.getElementById("data").textContent);
  const numbers = new Intl.NumberFormat("en");
  const weekday = new Intl.DateTimeFormat("en", {
    weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC",
  });
  const PHASES = {
    "proof": ["Proof of the filter", "--proof"], "look-back": ["Look-back", "--late"],
    "sweep": ["Sweep", "--sweep"], "new days": ["New days", "--written"],
  };
  const STATUS = {success: "complete", failed: "failed", unfinished: "not finished"};
  // Bars narrower than this cannot be pointed at: a longer time is drawn by week or month.
  const MOST_BARS = 400;
  const LEAST_BARS = 14;
  const DAY_MS = 86_400_000;

  function node(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }
  const count = (number) => numbers.format(number);
  const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;
  const moment = (text) => text.replace("T", " ").replace(/(:\d\d):\d\d.*/, "$1 UTC");
  const day = (text) => new Date(`${text}T00:00:00Z`);
  const isoDay = (date) => date.toISOString().slice(0, 10);
  function bytes(number) {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let unit = 0, left = number;
    for (; left >= 1000 && unit < units.length - 1; unit += 1) left /= 1000;
    return `${unit ? left.toFixed(1) : left} ${units[unit]}`;
  }
  function duration(seconds) {
    if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
    const minutes = Math.round(seconds / 60);
    return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  // Charts: a single stop of the Tab key, arrow keys from item to item, each with a name to be read.
  function chart(options, items, label, told, selector) {
    const figure = window.Plot.plot({
      width: Math.max(280, Math.min(1180, document.body.clientWidth - 32)), marginTop: 12,
      style: {color: "inherit", fontSize: "12px"}, ...options,
    });
    const drawn = figure.matches("svg") ? figure : figure.querySelector("svg");
    drawn.setAttribute("role", "group");
    drawn.setAttribute("aria-label", `${label}. Use the arrow keys.`);
    for (const axis of drawn.querySelectorAll("[aria-label^='x-axis'], [aria-label^='y-axis']")) {
      axis.setAttribute("aria-hidden", "true");
    }
    const marks = [...drawn.querySelectorAll(selector)];
    const show = (mark) => { told.textContent = mark.getAttribute("aria-label"); };
    marks.forEach((mark, index) => {
      mark.classList.add("item");
      mark.setAttribute("role", "img");
      mark.setAttribute("aria-label", items[index]);
      mark.setAttribute("tabindex", index === marks.length - 1 ? "0" : "-1");
      mark.addEventListener("pointerenter", () => show(mark));
      mark.addEventListener("focus", () => show(mark));
      mark.addEventListener("keydown", (event) => {
        const steps = {ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: marks.length - 1};
        const next = marks[steps[event.key]];
        if (!next) return;
        event.preventDefault();
        for (const other of marks) other.setAttribute("tabindex", other === next ? "0" : "-1");
        next.focus();
      });
    });
    return node("div", {class: "chart"}, figure);
  }

  function table(caption, heads, rows, csvName) {
    const body = node("tbody", {}, ...rows.map((row) => node("tr", {}, ...row.map(
      (value, index) => node(index ? "td" : "th", index ? {} : {scope: "row"},
        typeof value === "number" ? count(value) : value)))));
    const made = node("table", {}, node("caption", {}, caption),
      node("thead", {}, node("tr", {}, ...heads.map((head) => node("th", {scope: "col"}, head)))), body);
    // The text stands in a field of its own: a page opened from a file may not reach the clipboard.
    const csv = [heads, ...rows].map((row) => row.map(cell).join(",")).join("\n");
    const field = node("textarea", {readonly: "", "aria-label": `${csvName} as CSV`});
    field.value = csv;
    const button = node("button", {type: "button"}, "Copy");
    button.addEventListener("click", () => { field.select(); document.execCommand("copy"); });
    return [node("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": caption}, made),
      node("details", {}, node("summary", {}, `${csvName} as CSV`), field, button)];
  }
  function cell(value) {
    const text = String(value);
    // A spreadsheet would run a name that begins like a formula.
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }

  function daysOf(run) {
    const names = Object.keys(run.eventsPerDay).sort();
    if (!names.length) return [];
    // Days without events are as telling as the others: the whole range is drawn.
    let first = names[0], last = names.at(-1);
    if (run.range && run.range.first < first && day(first) - day(run.range.first) < 4000 * DAY_MS) first = run.range.first;
    if (run.range && run.range.last > last) last = run.range.last;
    // A chart of one day would be one block of colour.
    const least = isoDay(new Date(+day(last) - (LEAST_BARS - 1) * DAY_MS));
    if (least < first) first = least;
    const days = [];
    for (let at = +day(first); at <= +day(last); at += DAY_MS) {
      const name = isoDay(new Date(at));
      days.push({name, events: run.eventsPerDay[name] || 0, late: run.latePerDay[name] || 0,
        asked: inRange(run, name)});
    }
    return days;
  }
  const inRange = (run, name) => run.range && (run.range.first <= name && name <= run.range.last);

  function grouped(days) {
    const step = days.length <= MOST_BARS ? 1 : days.length <= 7 * MOST_BARS ? 7 : 30;
    if (step === 1) return {step, bars: days.map((d) => ({...d, title: weekday.format(day(d.name))}))};
    const bars = [];
    for (let at = 0; at < days.length; at += step) {
      const part = days.slice(at, at + step);
      bars.push({
        name: part[0].name, asked: part.some((d) => d.asked),
        title: `${part[0].name} to ${part.at(-1).name}`,
        events: part.reduce((sum, d) => sum + d.events, 0), late: part.reduce((sum, d) => sum + d.late, 0),
      });
    }
    return {step, bars};
  }

  function perDay(run) {
    const days = daysOf(run);
    const parts = [node("h2", {}, "Events written, by day of their time (UTC)")];
    if (!days.length) return [...parts, node("p", {}, "This run wrote no events.")];
    const {step, bars} = grouped(days);
    const gap = Math.max(...bars.map((bar) => bar.events)) / 40;
    const told = node("p", {class: "told", "aria-live": "polite"}, "Point at a bar, or step from bar to bar with the arrow keys.");
    const names = bars.map((bar) => `${bar.title}: ${bar.events ? plural(bar.events, "event") : bar.asked ? "no events" : "nothing new"}${bar.late ? `, ${count(bar.late)} of them late` : ""}`);
    const at = (bar) => [day(bar.name), new Date(+day(bar.name) + step * DAY_MS * (bars.length > 150 ? 1 : 0.86))];
    const rect = (value, extra) => bars.map((bar) => ({x1: at(bar)[0], x2: at(bar)[1], ...value(bar), ...extra}));
    const options = {
      height: 260, x: {type: "utc", label: null}, y: {grid: true, label: "events", tickFormat: "~s"},
      marks: [
        window.Plot.rectY(rect((bar) => ({y1: 0, y2: bar.events - bar.late})), {x1: "x1", x2: "x2", y1: "y1", y2: "y2", fill: "var(--written)", className: "on-time", ariaHidden: "true"}),
        window.Plot.rectY(rect((bar) => ({y1: bar.events - bar.late, y2: bar.events})), {x1: "x1", x2: "x2", y1: "y1", y2: "y2", fill: "var(--late)", className: "late", ariaHidden: "true"}),
        window.Plot.rectY(rect((bar) => ({y1: 0, y2: bar.events || !bar.asked ? 0 : gap})), {x1: "x1", x2: "x2", y1: "y1", y2: "y2", fill: "none", stroke: "var(--failed)", strokeOpacity: (d) => (d.y2 ? 1 : 0), className: "gap", ariaHidden: "true"}),
        window.Plot.rectY(rect(() => ({y1: 0, y2: Math.max(...bars.map((bar) => bar.events))})), {x1: "x1", x2: "x2", y1: "y1", y2: "y2", fill: "transparent", className: "day", ariaLabel: "days"}),
        window.Plot.ruleY([0], {ariaHidden: "true"}),
      ],
    };
    const legend = node("ul", {class: "legend"},
      ...[["var(--written)", "on time"], ["var(--late)", "late"], ["none; border: 1px solid var(--failed)", "a day without events"]].map(
        ([color, text]) => node("li", {}, swatch(color), text)));
    if (step > 1) legend.append(node("li", {}, `one bar is ${step} days`));
    return [...parts, legend, chart(options, names, "Events by day", told, ".day rect"), told,
      node("details", {}, node("summary", {}, "As a table"), ...table("Events written, by day",
        ["Day", "Events", "Late"], days.map((d) => [d.name, d.events, d.late]), "Events by day"))];
  }
  function swatch(color) {
    const made = node("span", {"aria-hidden": "true"});
    made.style.cssText = `background: ${color}`;
    return made;
  }

  function history(run) {
    if (runs.length < 2) return [];
    const past = [...runs].reverse();
    const one = (title, value, tell) => {
      const told = node("p", {class: "told"}, "");
      const data = past.map((other, index) => ({x: index, y: value(other), failed: other.status !== "success", chosen: other === run}));
      const names = past.map((other) => `${moment(other.startedAt)}: ${tell(value(other))}${other.status === "success" ? "" : `, ${STATUS[other.status]}`}`);
      return node("div", {}, node("h3", {}, title), chart({
        width: Math.min(360, Math.max(280, document.body.clientWidth - 32)), height: 130, marginLeft: 44,
        x: {axis: null}, y: {grid: true, ticks: 3, label: null, tickFormat: "~s"},
        marks: [
          window.Plot.rectY(data, {x1: (d) => d.x, x2: (d) => d.x + 0.8, y: "y", fill: (d) => (d.failed ? "var(--failed)" : "var(--written)"), fillOpacity: (d) => (d.chosen ? 1 : 0.65), ariaHidden: "true"}),
          window.Plot.rectY(data, {x1: (d) => d.x, x2: (d) => d.x + 0.8, y1: 0, y2: Math.max(1, ...data.map((d) => d.y)), fill: "transparent", className: "run", ariaLabel: "runs"}),
        ],
      }, names, `${title} of the last runs`, told, ".run rect"), told);
    };
    return [node("h2", {}, `The last ${runs.length} runs`), node("div", {class: "history"},
      one(labels.outputRecordCount, (r) => r.outputRecordCount, (v) => plural(v, "event")),
      one(labels.durationSeconds, (r) => r.durationSeconds, duration),
      one(labels.inputByteCount, (r) => r.inputByteCount, bytes))];
  }

  function timeline(run) {
    if (!run.windows.length && !run.waits.length) return [];
    // Windows under way at the same time stand in lanes.
    const lanes = [];
    const bars = run.windows.map((w) => {
      let lane = lanes.findIndex((end) => end <= w.start);
      if (lane < 0) lane = lanes.length;
      lanes[lane] = w.end;
      return {...w, lane: `query ${lane + 1}`};
    });
    const waits = run.waits.map((w) => ({...w, lane: "waits"}));
    const told = node("p", {class: "told", "aria-live": "polite"}, "");
    const label = (w) => `${PHASES[w.phase][0]}, ${w.days}: ${w.state}, ${plural(w.events, "event")}, ${bytes(w.bytes)}, ${duration(w.end - w.start)}${w.tries > 1 ? `, ${w.tries} tries` : ""}`;
    const all = [...bars.map((w) => [w, label(w)]),
      ...waits.map((w) => [w, `Waited ${duration(w.end - w.start)}: ${w.reason}`])];
    const end = Math.max(1, ...all.map(([w]) => w.end));
    const lanesShown = [...lanes.map((_, index) => `query ${index + 1}`), ...(waits.length ? ["waits"] : [])];
    const color = (w) => (w.state && w.state !== "written" ? "var(--failed)" : w.reason ? "var(--wait)" : `var(${PHASES[w.phase][1]})`);
    const data = all.map(([w]) => ({...w, until: Math.max(w.end, w.start + end / 400)}));
    const shown = chart({
      height: 40 + 24 * lanesShown.length, marginLeft: 60, x: {label: "seconds since the start", grid: true}, y: {domain: lanesShown, label: null},
      marks: [window.Plot.barX(data, {x1: "start", x2: "until", y: "lane", fill: color, insetTop: 2, insetBottom: 2, className: "window", ariaLabel: "windows"}),
        window.Plot.tickX(data.filter((w) => w.tries > 1), {x: "start", y: "lane", stroke: "var(--failed)", strokeWidth: 3, ariaHidden: "true"})],
    }, all.map(([, name]) => name), "Timeline of the run", told, ".window rect");
    const used = Object.entries(PHASES).filter(([phase]) => run.windows.some((w) => w.phase === phase));
    const legend = node("ul", {class: "legend"}, ...used.map(([, [text, variable]]) => node("li", {}, swatch(`var(${variable})`), text)),
      node("li", {}, swatch("var(--wait)"), "waited"), node("li", {}, swatch("var(--failed)"), "failed, or a retry"));
    const rows = run.windows.map((w) => [w.days, PHASES[w.phase][0], w.state, w.events, w.bytes, w.tries, w.start, w.end]);
    const parts = [node("h2", {}, "What the run did, and when"), legend, shown, told];
    if (run.otherWindowCount) parts.push(node("p", {}, `${plural(run.otherWindowCount, "further window")} not drawn.`));
    parts.push(node("details", {}, node("summary", {}, "As a table"), ...table("Windows",
      ["Days", "Kind", "State", "Events", "Bytes", "Tries", "Start (s)", "End (s)"], rows, "Windows"),
    ...(run.waits.length ? table("Waits", ["Reason", "Start (s)", "End (s)"], run.waits.map((w) => [w.reason, w.start, w.end]), "Waits") : [])));
    return parts;
  }

  const sorted = (counts) => Object.entries(counts).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  function names(run) {
    const rows = sorted(run.eventNames);
    if (!rows.length) return [];
    if (run.otherEventCount) rows.push(["(other names)", run.otherEventCount]);
    return [node("h2", {}, "Events read, by name"), ...table("Events read, by name", ["Event", "Count"], rows, "Events by name")];
  }
  function properties(run) {
    const rows = sorted(run.unmappedProperties).map(([name, share]) => [name, `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`]);
    if (!rows.length) return [];
    return [node("h2", {}, "Properties without a column"),
      node("p", {}, `Share of ${plural(run.sampledEventCount, "sampled event")} that have them. They are in the column properties; the setting columns gives them one of their own.`),
      ...table("Properties without a column", ["Property", "Share"], rows, "Properties")];
  }
  function warnings(run) {
    const rows = sorted(run.conversionWarnings).map(([column, n]) => [column, n, run.conversionKinds[column] || ""]);
    if (!rows.length) return [];
    return [node("h2", {}, "Values that did not fit their column"), ...table("Values that are null in their column; properties has them",
      ["Column", "Values", "For example"], rows, "Conversion warnings")];
  }

  function headline(run) {
    const made = node("div", {class: `headline ${run.status}`}, node("p", {}, node("strong", {}, run.headline)));
    if (run.error) made.append(node("p", {}, run.error));
    if (run.filterProof) made.append(node("p", {}, `Filter for late events: ${run.filterProof}`));
    if (run.clock) made.append(node("p", {}, `Clock: ${run.clock}`));
    return made;
  }
  function figures(run) {
    const list = [["outputRecordCount", count], ["lateRecordCount", count], ["duplicateRecordCount", count],
      ["knownRecordCount", count], ["failedRecordCount", count], ["inputByteCount", bytes], ["queryCount", count],
      ["durationSeconds", duration]];
    return node("dl", {class: "figures"}, ...list.map(([name, tell]) =>
      node("div", {}, node("dt", {}, labels[name]), node("dd", {}, tell(run[name])))));
  }

  function show(run) {
    document.title = `Mixpanel export: ${run.headline}`;
    const project = run.project;
    document.getElementById("project").textContent =
      `project ${project.id ?? "of the secret"}, ${project.region}, days in ${project.timezone}`;
    document.getElementById("page").replaceChildren(headline(run), figures(run), ...perDay(run), ...history(run),
      ...timeline(run), ...names(run), ...properties(run), ...warnings(run));
    document.getElementById("footer").textContent = [
      `${moment(run.startedAt)} to ${moment(run.endedAt)}`, run.range && `asked for ${run.range.first} to ${run.range.last}`,
      run.bookmark && `bookmark ${moment(run.bookmark)}`, run.tap].filter(Boolean).join(" · ");
  }
  const picker = document.getElementById("run");
  picker.append(...runs.map((run, index) => {
    const option = node("option", {value: index});
    option.textContent = `${moment(run.startedAt)}: ${STATUS[run.status]}`;
    return option;
  }));
  picker.addEventListener("change", () => show(runs[picker.value]));
  show(runs[0]);
})();
