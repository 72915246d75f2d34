"""The looks of the report: its style sheet."""

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light dark; --page: #f6f8fa; --card: #ffffff; --ink: #1f2933;
  --soft: #5b6773; --line: #dde3ea; --accent: #1f6feb; --good: #1a7f4b; --good-soft: #e3f5ea;
  --bad: #8a94a0; }
@media (prefers-color-scheme: dark) { :root { --page: #0d1117; --card: #161b22; --ink: #e3e8ee;
  --soft: #9aa5b1; --line: #30363d; --accent: #6cb0ff; --good: #4ac584; --good-soft: #12301f;
  --bad: #7d8894; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 20px 64px; }
header h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .3em; letter-spacing: -.01em; }
header p { color: var(--soft); margin: 0; max-width: 68ch; }
h2 { font-size: 1.25rem; margin: 48px 0 12px; }
h3 { font-size: 1rem; margin: 0 0 10px; }
p.note { color: var(--soft); font-size: .9rem; max-width: 78ch; }
.facts { display: flex; flex-wrap: wrap; gap: 12px; margin: 24px 0 0; padding: 0;
  list-style: none; }
.facts li { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 12px 18px; min-width: 130px; flex: 1; }
.facts b { display: block; font-size: 1.45rem; line-height: 1.25;
  font-variant-numeric: tabular-nums; }
.facts span { color: var(--soft); font-size: .85rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 20px; margin: 0 0 20px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 600; color: var(--soft); font-size: .85rem;
  padding: 6px 12px; border-bottom: 2px solid var(--line); vertical-align: bottom; }
td { text-align: right; padding: 8px 12px; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 4px; }
tr:last-child td { border-bottom: 0; }
tr.float td { color: var(--soft); border-top: 2px solid var(--line); }
td small { color: var(--soft); }
.plots { display: grid; gap: 20px; grid-template-columns: repeat(auto-fit, minmax(430px, 1fr)); }
.plots .card { margin: 0; padding: 10px; }
.plots .card:first-child { grid-column: 1 / -1; }
.plots img { width: 100%; max-width: 820px; height: auto; display: block; margin: 0 auto; }
.example { display: grid; grid-template-columns: 132px 1fr; gap: 24px; }
.example h3 { font-weight: 600; }
.query img, .query .key { width: 112px; height: 112px; }
.labels { color: var(--soft); font-size: .82rem; overflow-wrap: anywhere; }
.row { margin: 0 0 16px; }
.row:last-child { margin: 0; }
.row h3 small { color: var(--soft); font-weight: 400; }
.hits { display: grid; grid-template-columns: repeat(10, minmax(0, 1fr)); gap: 10px; margin: 0;
  padding: 0; list-style: none; }
figure { margin: 0; }
.hit { position: relative; }
.hit img, .hit .key { box-sizing: border-box; width: 100%; aspect-ratio: 1;
  border: 2px dashed var(--bad); opacity: .72; }
.hit.relevant img, .hit.relevant .key { border: 3px solid var(--good); opacity: 1; }
img.picture, .key { object-fit: contain; border-radius: 8px; display: flex; align-items: center;
  justify-content: center; background: var(--page); }
.key { font-size: .7rem; padding: 4px; text-align: center; overflow: hidden;
  overflow-wrap: anywhere; border: 1px solid var(--line); }
.pixel { image-rendering: pixelated; }
.mark { position: absolute; top: -7px; right: -7px; width: 22px; height: 22px; border-radius: 50%;
  display: flex; align-items: center; justify-content: center; font-size: 13px; font-weight: 700;
  background: var(--card); color: var(--bad); border: 2px solid var(--bad); }
.relevant .mark { background: var(--good); color: var(--card); border-color: var(--good); }
.hit figcaption { font-size: .72rem; color: var(--soft); line-height: 1.3; margin-top: 4px;
  overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 6px 20px; margin: 0;
  font-size: .9rem; }
dt { font-family: ui-monospace, monospace; color: var(--accent); }
dd { margin: 0; color: var(--soft); }
footer { margin-top: 48px; color: var(--soft); font-size: .85rem; }
@media (max-width: 640px) { .example { grid-template-columns: 1fr; } .plots {
  grid-template-columns: 1fr; } dl { grid-template-columns: 1fr; }
  .hits { grid-template-columns: repeat(5, minmax(0, 1fr)); } }
@media print { body { background: #fff; } .card { break-inside: avoid; } }
"""
