// The curves of a run, which grow while it is training.

import { Chart } from "./chart.js";
import { find, make } from "./dom.js";

const CURVES = {
  generator: [
    ["seed_loss", { title: "Loss: error over 2 × 0.3²", log: true }],
    ["accept", { title: "Acceptance of the chains", range: [0, 1], mark: 0.574 }],
    ["step_size", { title: "Step size of the chains", log: true }],
    ["latent_std", { title: "Standard deviation of latents", mark: 1 }],
  ],
  descriptor: [
    ["gap", { title: "Gap, nats per dimension of f", mark: 0 }],
    ["saturation", { title: "Saturation, part of values" }],
    ["spread", { title: "Spread over that of the images", mark: 1 }],
    ["rise", { title: "Rise, nats per dimension" }],
  ],
};
const STATES = {
  waiting: "has not begun yet",
  training: "training",
  still: "not finished; nothing new for a minute",
  stopped: "stopped",
  finished: "finished",
};

export function training(link) {
  let charts = [];
  link.on("run", ({ kind }) => {
    if (charts.length) return;
    charts = CURVES[kind].map(([name, options]) => {
      const figure = make("figure", { className: "chart" });
      find("curves").append(figure);
      figure.dataset.curve = name;
      return [name, new Chart(figure, { ...options, unit: "iteration" })];
    });
  });
  link.on("curves", ({ anew, rows }) => {
    for (const [name, chart] of charts) {
      if (anew) chart.clear();
      for (const row of rows) if (name in row) chart.add(row.iteration, row[name]);
    }
  });
  link.on("training", ({ iteration, total, progress, state, event, problem }) => {
    const of = total === null ? "" : ` of ${total}`;
    const said = [`Iteration ${iteration}${of}: ${STATES[state]}`, event, problem];
    find("training-state").textContent = said.filter(Boolean).join(". ");
    find("training-progress").value = progress;
    find("follow-row").hidden = state === "finished";
    find("training").dataset.state = state;
  });
}
