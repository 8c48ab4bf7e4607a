"""Phones and computers on which a client comes back with their PIN alone: choosing so, listing and forgetting them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import redirect, render_template, request, url_for
from marshmallow import Schema, fields

from caseapp.core.clock import now
from caseapp.core.permissions import Action
from caseapp.domain.auth.remembered_devices import (
    KnownDevice,
    LockedDevices,
    find_known_device,
    forget_own_devices,
    lock_own_devices,
    remember_own_device,
)
from caseapp.domain.auth.rules import DEVICE_LIFETIME
from caseapp.domain.clients.codes import DEVICE_KINDS
from caseapp.domain.clients.remembered_devices import list_devices
from caseapp.http.devices import find_device_kind, sent_device, set_device_cookie
from caseapp.http.forms import BUTTON, Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor
from caseapp.http.interfaces import Interface
from caseapp.http.template_helpers import flash
from caseapp.portal.handouts import REFUSED, blueprint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.auth.devices import Device
    from caseapp.domain.clients.models import RememberedDevice

__all__ = ["blueprint"]


class ForgottenSchema(Schema):
    """Input of which device to forget; without one, all."""

    device_id = fields.UUID(load_default=None)


@dataclass(frozen=True)
class DevicesView:
    """A client's remembered devices, and the one that they are using, if it is one of them."""

    devices: Sequence[RememberedDevice]
    here: KnownDevice | None


def load_devices() -> DevicesView:
    """Load the devices of the client who is signed in."""
    client_id, here = current_actor().id, find_known_device(sent_device())
    return DevicesView(
        list_devices(client_id), here if here and here.client_id == client_id else None
    )


page = FormPage(blueprint, "/devices", Action.PORTAL_READ, load_devices)


@page.show
def devices_page(view: DevicesView, forms: Forms) -> str:
    """Say what it means that a device is remembered, offer it, and list those that are."""
    return render_template(
        "portal/devices.html",
        view=view,
        kinds=DEVICE_KINDS,
        days=DEVICE_LIFETIME.days,
        forms=forms,
    )


@page.form(Action.DEVICE_MANAGE, BUTTON, lock=lock_own_devices, refused=REFUSED)
def remember(devices: LockedDevices, _body: dict[str, Any], sent: Sent) -> Done:
    """Remember the phone or computer that the client is using; its cookie is set by this response only."""
    kind = find_device_kind(request.user_agent.string)
    device = remember_own_device(sent.actor, devices, sent_device(), kind)
    return Done(
        url_for("portal_handouts.devices_page"),
        "device_remembered",
        lambda: _answer("device_remembered", device, now() + DEVICE_LIFETIME),
    )


def _answer(message: str, device: Device, until: datetime | None) -> ResponseReturnValue:
    """Lead back to the page with a cookie for the device, which lasts until then, or as long as the browser is open."""
    flash(message)
    answer = redirect(url_for("portal_handouts.devices_page"), code=303)
    return set_device_cookie(answer, Interface.PORTAL, device, until)


@page.form(
    Action.DEVICE_MANAGE,
    Body(ForgottenSchema, dict[str, Any]),
    lock=lock_own_devices,
    rule="/devices/forget",
    refused=REFUSED,
)
def forget(_devices: LockedDevices, body: dict[str, UUID | None], sent: Sent) -> Done:
    """Forget one remembered phone or computer, or all; no lasting cookie stays on the one that is being used."""
    device, here = sent_device(), find_known_device(sent_device())
    forget_own_devices(sent.actor, body["device_id"])
    return Done(
        url_for("portal_handouts.devices_page"),
        "devices_forgotten",
        (lambda: _answer("devices_forgotten", device, None))
        if here and find_known_device(device) is None
        else None,
    )
