// The style of the charts, in the colors of the theme.
const sheet = new CSSStyleSheet();
sheet.replaceSync(`
.curves { --train: #6366f1; --validation: #f97316; display: grid; gap: 0 1.2rem; font-family: var(--st-font);
  grid-template-columns: repeat(auto-fit, minmax(min(100%, max(290px, 50% - 0.7rem)), 1fr)); color: var(--st-text-color); }
.chart { margin: 0; min-width: 0; position: relative; display: grid; grid-row: span 2; grid-template-rows: subgrid; gap: 0; }
figcaption { display: flex; margin-top: 0.4rem; flex-wrap: wrap; align-items: center; align-content: start; gap: 0.1rem 0.7rem; min-height: 2rem; padding-left: 4px; }
.title { font-size: 0.95rem; font-weight: 600; }
.legend { display: flex; flex-wrap: wrap; gap: 0 0.2rem; margin-right: auto; }
.plot { position: relative; min-width: 0; }
.tools { position: absolute; right: 14px; top: 4px; display: flex; gap: 0.3rem; z-index: 1; }
button { font: inherit; color: inherit; background: none; border: 0; border-radius: 6px; cursor: pointer;
  min-height: 24px; }
button:hover { background: var(--st-secondary-background-color); }
button:focus-visible, svg:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: -1px; border-radius: 6px; }
.entry { display: inline-flex; align-items: center; gap: 0.4rem; font-size: 0.8rem; padding: 0.15rem 0.3rem; }
.entry b { font-variant-numeric: tabular-nums; font-weight: 600; min-width: 3.1em; text-align: left; }
.entry.faint b { display: none; }
.entry i { width: 12px; height: 3px; border-radius: 2px; background: currentColor; flex: none; }
.entry.faint i { opacity: 0.45; height: 2px; }
.entry.train i { color: var(--train); }
.entry.validation i { color: var(--validation); }
.entry[aria-pressed="false"] { opacity: 0.45; text-decoration: line-through; }
.tool { font-size: 0.75rem; padding: 0.15rem 0.45rem; border: 1px solid var(--st-border-color);
  background: var(--st-background-color); }
.tool.quiet { opacity: 0; transition: opacity 0.15s; }
.chart:hover .tool.quiet, .tool.quiet:focus-visible { opacity: 0.8; }
[hidden] { display: none; }
svg { display: block; width: 100%; touch-action: pan-y; user-select: none; cursor: crosshair; font-size: 12px; overflow: visible; }
svg text { fill: var(--st-text-color); font-family: var(--st-font); font-variant-numeric: tabular-nums; }
.grid path { stroke: var(--st-text-color); opacity: 0.12; fill: none; }
.grid text { opacity: 0.65; }
.axis { opacity: 0.65; }
.message { opacity: 0.6; font-size: 14px; }
.epoch-ends { stroke: var(--st-text-color); stroke-dasharray: 2 4; opacity: 0.22; fill: none; }
.changes path { stroke: var(--st-primary-color); stroke-dasharray: 5 3; opacity: 0.7; fill: none; }
.changes text { font-size: 10.5px; opacity: 0.85; }
.line { fill: none; stroke-linejoin: round; stroke: var(--train); }
.line.validation { stroke: var(--validation); }
.line.main { stroke-width: 2.2; }
.line.batches { stroke-width: 1; opacity: 0.45; }
.line.measured { stroke-width: 1; opacity: 0.28; }
.cursor { stroke: var(--st-text-color); opacity: 0.4; fill: none; }
.dot { fill: var(--train); stroke: var(--st-background-color); stroke-width: 1.5; }
.dot.validation { fill: var(--validation); }
.selection { fill: var(--st-primary-color); opacity: 0.14; }
.tooltip { position: absolute; top: 10px; pointer-events: none; z-index: 2; font-size: 0.8rem; padding: 0.35rem 0.6rem;
  background: var(--st-background-color); border: 1px solid var(--st-border-color); border-radius: 8px;
  box-shadow: 0 4px 14px rgb(0 0 0 / 0.16); font-variant-numeric: tabular-nums; }
.tooltip .entry { display: flex; padding: 0.1rem 0; }
.tooltip .entry span { flex: 1; padding-right: 0.8rem; }
.tooltip .entry b { text-align: right; }
`);

/** Apply the style to the shadow root of an element, before it is painted. */
export function adoptStyle(element) {
  const root = element.getRootNode();
  if (!root.adoptedStyleSheets.includes(sheet)) root.adoptedStyleSheets.push(sheet);
}
