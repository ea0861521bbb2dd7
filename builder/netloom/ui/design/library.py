"""The library on the design page: published networks and built-in blocks, to add to the open project."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import streamlit as st

from netloom.core.text import escape
from netloom.document import Project, to_json
from netloom.document.network_bundle import BundleError, exchange, extract, insert
from netloom.editing.live import Live
from netloom.store import LibraryRow, NameTakenError, Store, StoreError
from netloom.templates.shelf import blocks, summary
from netloom.ui.components.card_grid import card_grid
from netloom.ui.components.charts.network_thumbnail import picture
from netloom.ui.components.errors import guard, show_error
from netloom.ui.components.icon_popover import icon_popover
from netloom.ui.components.page_state import value_of
from netloom.ui.components.words import ago, count
from netloom.ui.design.state import Key, LibraryMessage, LibraryState, NameTaken

# The number of earlier versions of a network that are listed.
SHOWN = 10
EMPTY = "No networks yet. A network that you publish above is stored on this server and can be used in every project."


@dataclass(frozen=True)
class Card:
    """The content of a card.

    Attributes:
        origin: The description of the source of the network.
        facts: Its ports, parameters and size.
        mine: Whether it can be renamed and deleted.
    """

    name: str
    title: str
    origin: str
    facts: dict[str, Any]
    bundle: Project
    mine: bool = False
    # The number of the version, and of those before it.
    number: int = 1
    earlier: tuple[LibraryRow, ...] = ()


def library(live: Live, network: str) -> None:
    """Draw the button that opens the library; `network` is the one that the canvas shows."""
    if st.button("Library", icon=":material/library_books:", help="Reusable networks and built-in blocks"):
        state = LibraryState.current()
        state.message, state.name_taken = LibraryMessage(), None
        st.dialog("Library", width="large", icon=":material/library_books:")(library_dialog)(live, network)


@guard()
def library_dialog(live: Live, network: str) -> None:
    _publishing(live, network)
    ready, mine = st.tabs(["Built-in blocks", "My networks"])
    with mine:
        rows = live.store.library()
        if not rows:
            st.info(EMPTY, icon=":material/library_add:")
        cards = [_published_card(live.store, row.name) for row in rows]
        _shelf(live, "my networks", [card for card in cards if card])
    with ready:
        _shelf(
            live,
            "blocks",
            [
                Card(block.name, block.title, block.summary, _summary(block.name), block.bundle)
                for block in blocks().values()
            ],
        )


@st.cache_data(show_spinner=False)
def _summary(name: str) -> dict[str, Any]:
    return summary(blocks()[name].bundle)


def _published_card(store: Store, name: str) -> Card | None:
    """Return the card of a published network; None after an error, which is drawn."""
    try:
        row = store.published(name)
        times = f", {row.number} versions" if row.number > 1 else ""
        origin, earlier = f"Published {ago(row.updated_at)}{times}", tuple(store.earlier(name))
        return Card(name, "", origin, row.summary, store.bundle(name), mine=True, number=row.number, earlier=earlier)
    except StoreError as error:
        show_error(error)
        return None


def _publishing(live: Live, network: str) -> None:
    """Draw the form that publishes a network, and its result."""
    project = live.project
    names = list(project.networks)
    network_column, name_column, button_column = st.columns([2, 2, 1.2], vertical_alignment="bottom")
    chosen = network_column.selectbox(
        "Network", names, index=names.index(network) if network in names else 0, key=Key.LIBRARY_WHICH
    )
    suggested = "" if chosen == project.main else chosen
    key = Key.LIBRARY_CALLED.of(chosen)
    name = name_column.text_input(
        "Name in the library",
        suggested,
        max_chars=64,
        placeholder="residual_block",
        help="Lowercase letters, digits and _",
        key=key,
    )
    button_column.button(
        "Publish",
        key=Key.LIBRARY_PUBLISH,
        type="primary",
        icon=":material/library_add:",
        width="stretch",
        on_click=_publish,
        args=(live, chosen, key),
    )
    state = LibraryState.current()
    if state.name_taken == NameTaken(chosen, name.strip()):
        st.warning(f"The library already has a network {escape(name)}. It becomes an earlier version.")
        st.button(
            "Replace it",
            icon=":material/sync:",
            key=Key.LIBRARY_REPLACE,
            on_click=_publish,
            args=(live, chosen, key, True),
        )
    if state.message.sentence:
        (st.error if state.message.kind == "error" else st.success)(state.message.sentence)


def _publish(live: Live, network: str, key: str, replace: bool = False) -> None:
    """Publish a network under the name that was typed in the field of this key."""
    name = str(value_of(key)).strip()
    _act(lambda: _published(live, network, name, replace=replace))


def _published(live: Live, network: str, name: str, *, replace: bool) -> str:
    if not name:
        raise StoreError("Give it a name, such as residual_block.")
    if name in blocks():
        raise StoreError(f"{name} is a built-in block; choose another name.")
    bundle = extract(live.project, network, name)
    try:
        live.store.publish(bundle, summary(bundle), replace=replace)
    except NameTakenError:
        LibraryState.current().name_taken = NameTaken(network, name)
        return ""
    inner = len(bundle.networks) - 1
    return f"Published {name}{f' with {inner} networks that it uses' if inner > 1 else ''}."


def _shelf(live: Live, name: str, cards: list[Card]) -> None:
    grid = card_grid(name, swiped=False)
    for card in cards:
        with grid, st.container(border=True, height="stretch"):
            _card(live, card)


def _card(live: Live, card: Card) -> None:
    st.image(picture(card.bundle.main_network), width="stretch", alt="Graph of the network")
    st.markdown(f"**{escape(card.title or card.name)}**" + (f" · `{card.name}`" if card.title else ""))
    st.caption(f"{card.origin}  \n{_facts(card)}")
    is_added = _already(live.project, card.bundle)
    left, right = st.columns([3, 1]) if card.mine else (st.container(), None)
    label, icon = ("In project", ":material/check:") if is_added else ("Add to project", None)
    key = Key.LIBRARY_TAKE.of(card.mine, card.name)
    left.button(label, icon=icon, key=key, width="stretch", on_click=_act, args=(lambda: _use(live, card.bundle),))
    if not is_added:
        _newer(live, card)
    if right is not None:
        with right, icon_popover("More", ":material/more_horiz:", card.name):
            _earlier(live, card)
            _more(live.store, card.name)


def _newer(live: Live, card: Card) -> None:
    """Draw an update to the newest version, if the project has an unchanged earlier one."""
    for row in card.earlier:
        with contextlib.suppress(StoreError):
            old = live.store.bundle(card.name, row.number)
            if _already(live.project, old):
                st.caption(f":material/update: This project has version {row.number}. A newer version is available.")
                st.button(
                    f"Update to version {card.number}",
                    key=Key.LIBRARY_NEWER.of(card.name),
                    width="stretch",
                    on_click=_act,
                    args=(partial(_exchanged, live, old, card),),
                )
                return


def _exchanged(live: Live, old: Project, card: Card) -> str:
    live.transform(lambda project: exchange(project, old, card.bundle))
    return f"{card.name} is now version {card.number} in this project. Undo restores the earlier one."


def _earlier(live: Live, card: Card) -> None:
    """Draw the earlier versions with buttons to add them to the project or to restore them."""
    for row in card.earlier[:SHOWN]:
        st.caption(f"Version {row.number} · {ago(row.updated_at)}")
        left, right = st.columns(2)
        with contextlib.suppress(StoreError):
            bundle = live.store.bundle(card.name, row.number)
            add: dict[str, Any] = {"on_click": _act, "args": (partial(_use, live, bundle),)}
            left.button("Add to project", key=Key.LIBRARY_USE.of(card.name, row.number), width="stretch", **add)
        restore: dict[str, Any] = {"on_click": _act, "args": (partial(_restored, live.store, card.name, row.number),)}
        text = "Becomes the newest version; no version is lost"
        right.button(
            "Restore", key=Key.LIBRARY_RESTORE.of(card.name, row.number), width="stretch", help=text, **restore
        )


def _restored(store: Store, name: str, number: int) -> str:
    row = store.restore_published(name, number)
    return f"Restored version {number} of {name} as version {row.number}."


def _facts(card: Card) -> str:
    ports = f"{len(card.facts.get('inputs', ()))} in, {len(card.facts.get('outputs', ()))} out"
    exposed = ", ".join(f"{name} = {value:g}" for name, value in card.facts.get("parameters", {}).items())
    size = card.facts.get("size")
    return " · ".join(part for part in (ports, exposed, f"{count(size)} weights" if size is not None else "") if part)


def _already(project: Project, bundle: Project) -> bool:
    try:
        return insert(project, bundle)[0] == project  # inserting a network that the project has changes nothing
    except BundleError:
        return False


def _use(live: Live, bundle: Project) -> str:
    project, names = insert(live.project, bundle)
    if project == live.project:
        return f"{names[bundle.main]} is already a network of this project. Drag it from the palette."
    live.apply({"kind": "insert_networks", "bundle": to_json(bundle)})
    return f"{names[bundle.main]} is now a network of this project. Drag it from the palette. Undo removes it."


def _more(store: Store, name: str) -> None:
    key = Key.LIBRARY_NAME.of(name)
    st.text_input("New name", name, max_chars=64, key=key)
    st.button(
        "Rename",
        key=Key.LIBRARY_RENAME.of(name),
        width="stretch",
        on_click=lambda: _act(lambda: _renamed(store, name, str(value_of(key)).strip())),
    )
    st.caption("Projects that use it are not changed.")
    st.button(
        "Delete permanently",
        key=Key.LIBRARY_DELETE.of(name),
        width="stretch",
        on_click=_act,
        args=(lambda: _deleted(store, name),),
    )


def _renamed(store: Store, name: str, to: str) -> str:
    if to in blocks():
        raise StoreError(f"{to} is a built-in block; choose another name.")
    store.rename_published(name, to)
    return f"Renamed {name} to {to}." if name != to else ""


def _deleted(store: Store, name: str) -> str:
    store.delete_published(name)
    return f"Deleted {name}."


def _act(act: Callable[[], str]) -> None:
    """Call an action, and store its message or error for the next rerun."""
    state = LibraryState.current()
    state.name_taken = None
    try:
        state.message = LibraryMessage("done", act())
    except (ValueError, StoreError) as error:
        state.message = LibraryMessage("error", str(error))
