// The progress of a run's training.

import { find } from "./dom.js";

const STATES = {
  waiting: "not started yet",
  training: "training",
  still: "not finished; nothing new for a minute",
  stopped: "stopped",
  finished: "finished",
};

export function training(link) {
  link.on("training", ({ iteration, total, progress, state, event, problem }) => {
    const of = total === null ? "" : ` of ${total}`;
    const said = [`Iteration ${iteration}${of}: ${STATES[state]}`, event, problem];
    find("training-state").textContent = said.filter(Boolean).join(". ");
    find("training-progress").value = progress;
    find("follow-row").hidden = state === "finished";
    find("training").dataset.state = state;
  });
}
