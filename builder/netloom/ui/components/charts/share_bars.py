"""Shares from 0 to 1 as bars, each with its name and its number."""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping

import streamlit as st

from netloom.core.text import cut

STYLE = """<style>
dl.share-bars { display: grid; grid-template-columns: minmax(1.5rem, auto) 1fr minmax(3.2rem, auto);
  gap: 0.35rem 0.7rem; margin: 0; padding: 0; align-items: center; font-size: 0.9rem; }
.share-bars dt { overflow-wrap: anywhere; max-width: 14rem; padding: 0; font-weight: 400; }
.share-bars dd { margin: 0; }
.share-bars .track { position: relative; height: 0.9rem; border-radius: 0.3rem;
  background: light-dark(#ececf1,#22232e); }
.share-bars .track i { display: block; height: 100%; border-radius: 0.3rem; background: light-dark(#a5b4fc,#4f51a8); }
.share-bars .track.chosen i { background: light-dark(#4f46e5,#818cf8); }
.share-bars .track b { position: absolute; top: -0.15rem; bottom: -0.15rem; width: 2px; background: currentColor; }
.share-bars dt.chosen-name { font-weight: 600; }
.share-bars .value { font-variant-numeric: tabular-nums; text-align: right; }
</style>"""


def share_bars(
    shares: Mapping[str, float],
    *,
    chosen: Collection[str] = (),
    limits: Mapping[str, float] | None = None,
    texts: Mapping[str, str] | None = None,
) -> None:
    """Draw shares in their order.

    Args:
        chosen: The names that are emphasized.
        limits: A mark on the bar of each name, from 0 to 1.
        texts: The numbers to show instead of percentages.
    """
    lines = []
    for name, share in shares.items():
        is_chosen, limit = name in chosen, (limits or {}).get(name)
        mark = f'<b style="left:{100 * min(max(limit, 0.0), 1.0):.2f}%"></b>' if limit is not None else ""
        text = (texts or {}).get(name, f"{share:.1%}")
        lines.append(
            f'<dt class="{"chosen-name" if is_chosen else ""}">{html.escape(cut(name, 80))}</dt>'
            f'<dd class="track{" chosen" if is_chosen else ""}">'
            f'<i style="width:{100 * min(max(share, 0.0), 1.0):.2f}%"></i>{mark}</dd>'
            f'<dd class="value">{html.escape(text)}</dd>'
        )
    st.html(f'{STYLE}<dl class="share-bars">{"".join(lines)}</dl>')
