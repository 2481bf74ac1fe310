// The page consists of panels: each has a template with its cards, and a module with its behaviour.

import { Decoder } from "./decoder.js";
import { find } from "./dom.js";
import { Look } from "./look.js";
import { Own } from "./own.js";
import { chain } from "./panels/chain.js";
import { curves } from "./panels/curves.js";
import { fill } from "./panels/fill.js";
import { inference } from "./panels/inference.js";
import { picture } from "./panels/picture.js";
import { pictures } from "./panels/pictures.js";
import { plane } from "./panels/plane.js";
import { score } from "./panels/score.js";

const PANELS = { plane, picture, inference, chain, fill, score, pictures, curves };
const TAKING = ["inference", "fill", "score"]; // panels that take the user's own picture

/** Make the page of a run: its panels in order, each card in the column that its template names. */
export function compose(link, run) {
  const page = { link, run, decoder: new Decoder(link), look: new Look(), own: null };
  for (const name of run.panels) {
    if (TAKING.includes(name) && !page.own) {
      lay("own-card");
      page.own = new Own(run);
    }
    lay(`${name}-panel`);
    PANELS[name](page);
  }
  link.on("model", () => { if (page.look.dim) page.look.back(); }); // after all panels know it
}

/** Put the cards of a template, if there is one, in their columns. */
function lay(template) {
  const cards = find(template)?.content.cloneNode(true).children ?? [];
  for (const card of [...cards]) find(`column-${card.dataset.column}`).append(card);
}
