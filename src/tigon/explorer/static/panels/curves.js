// The curves of the recipe's metrics, which grow while a run is training.

import { Chart } from "../chart.js";
import { find, make } from "../dom.js";

export function curves({ link, run }) {
  const charts = run.metrics.map((metric) => {
    const figure = make("figure", { className: "chart" });
    find("curves").append(figure);
    figure.dataset.curve = metric.name;
    figure.title = metric.caption ?? "";
    return [metric.name, new Chart(figure, { ...metric, title: titled(metric), steps: "iteration" })];
  });
  link.on("curves", ({ anew, rows }) => {
    for (const [name, chart] of charts) {
      if (anew) chart.clear();
      for (const row of rows) if (name in row) chart.add(row.iteration, row[name]);
    }
  });
}

const titled = ({ title, unit }) => (unit ? `${title}, ${unit}` : title);
