// Assemble the page: the connection, the facts about the run, and its panels.

import { find, notice } from "./dom.js";
import { Link } from "./link.js";
import { compose } from "./panels.js";
import { training } from "./training.js";

const link = new Link();
let built = false;
let gone = 0;
training(link);

link.on("open", () => {
  clearInterval(gone);
  find("gone").hidden = true;
  say("open", "Connected");
  if (!find("follow").checked) link.send({ type: "follow", on: false });
  look();
});
link.on("gone", ({ wait }) => {
  say("gone", "Not connected");
  const until = performance.now() + wait;
  const tell = () => {
    const seconds = Math.max(0, Math.ceil((until - performance.now()) / 1000));
    find("gone-text").textContent = `The server is not reachable. ${seconds ? `Trying again in ${seconds} s.` : "Trying now."}`;
  };
  clearInterval(gone);
  gone = setInterval(tell, 500);
  tell();
  find("gone").hidden = false;
});
link.on("run", (run) => {
  document.title = `${run.name} · tigon explorer`;
  find("run-name").textContent = run.name;
  find("what").textContent = run.what;
  find("version").textContent = `tigon ${run.version} on ${run.device}`;
  const channels = run.channels === 1 ? ", grey" : "";
  find("facts").dataset.run = `${run.recipe} · ${run.image_size.join(" × ")}${channels}`;
  facts(run.checkpoint ? "loading" : "no checkpoint yet");
  waiting(run.checkpoint
    ? "Loading the model."
    : "There is no checkpoint yet. The model appears here as soon as training writes one; its curves are below.");
  if (!built) compose(link, run);
  built = true;
});
link.on("model", (model) => {
  facts(`iteration ${model.iteration}`);
  waiting("");
  find("page").hidden = false;
  find("load-newest").hidden = true;
});
link.on("offer", ({ iteration }) => {
  find("load-newest").textContent = `Load iteration ${iteration}`;
  find("load-newest").hidden = false;
});
link.on("error", ({ message }) => notice(message));

find("follow").addEventListener("change", () => link.send({ type: "follow", on: find("follow").checked }));
find("load-newest").addEventListener("click", () => link.send({ type: "follow", on: find("follow").checked, now: true }));
find("retry").addEventListener("click", () => link.connect());
document.addEventListener("visibilitychange", look);
link.connect();

function look() { link.send({ type: "look", seen: !document.hidden }); }

function say(state, text) {
  find("connection").dataset.state = state;
  find("connection").textContent = text;
}

function facts(which) { find("facts").textContent = `${find("facts").dataset.run} · ${which}`; }

function waiting(text) {
  find("waiting").textContent = text;
  find("waiting").hidden = !text;
}
