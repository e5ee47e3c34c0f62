# SPDX-License-Identifier: Apache-2.0
"""VMs from a manifest, as docs/manifest.md describes it."""
import os
import re
import struct
import subprocess

from ctl.client import Usage

NAME = re.compile(r"[a-z0-9-]{1,31}$")


def fdt(blob):
    """A flattened device tree as (properties, nodes), both dictionaries; nodes are such pairs again."""
    struct_at, strings_at = struct.unpack_from(">II", blob, 8)
    at, stack = struct_at, [({}, {})]
    while True:
        token, = struct.unpack_from(">I", blob, at)
        at += 4
        if token == 1:  # a node begins: its name follows
            end = blob.index(b"\0", at)
            node = ({}, {})
            stack[-1][1][blob[at:end].decode("ascii")] = node
            stack.append(node)
            at = end + 4 & ~3
        elif token == 2:
            stack.pop()
        elif token == 3:
            length, name_at = struct.unpack_from(">II", blob, at)
            name = blob[strings_at + name_at:blob.index(b"\0", strings_at + name_at)].decode("ascii")
            stack[-1][0][name] = blob[at + 8:at + 8 + length]
            at = at + 8 + length + 3 & ~3
        elif token == 9:
            return stack[0][1][""]


def compile_tree(path):
    """The blob of a device tree in source; a blob is taken as it is."""
    try:
        with open(path, "rb") as f:
            blob = f.read()
    except OSError as e:
        raise Usage(f"{path}: {e.strerror}") from None
    if blob[:4] == b"\xd0\x0d\xfe\xed":
        return blob
    try:
        out = subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb", path], capture_output=True, check=False)
    except FileNotFoundError:
        raise Usage("reading a manifest's source takes dtc (Debian: device-tree-compiler)") from None
    if out.returncode:
        raise Usage(f"{path}: dtc: " + (out.stderr.decode("utf-8", "replace").strip().splitlines() or ["it failed"])[0])
    return out.stdout


def text_value(value):
    if not value.endswith(b"\0") or any(not 32 <= c < 127 for c in value[:-1]):
        raise ValueError("a string is allowed")
    return value[:-1].decode("ascii")


def cells_value(value):
    if not value or len(value) % 4:
        raise ValueError("cells are allowed")
    return list(struct.unpack(f">{len(value) // 4}I", value))


def one_cell(value):
    if len(value) != 4:
        raise ValueError("one cell is allowed")
    return cells_value(value)[0]


def memory_value(value):
    try:
        return text_value(value)
    except ValueError:
        if len(value) != 8:
            raise ValueError("a string or two cells are allowed") from None
        return struct.unpack(">Q", value)[0]


def restart_value(value):
    if len(value) != 8:
        raise ValueError("two cells are allowed")
    limit, window = cells_value(value)
    return {"policy": "on-failure", "limit": limit, "window": window} if limit else {"policy": "never"}


def texts_value(value):
    return [text_value(text + b"\0") for text in value.removesuffix(b"\0").split(b"\0")]


# A manifest's property: its name in the API, or None for a file; and what reads it.
PROPERTIES = {
    "cores": ("cores", cells_value),
    "core-count": ("core_count", one_cell),
    "memory": ("memory", memory_value),
    "kernel": (None, text_value),
    "initrd": (None, text_value),
    "bootargs": ("bootargs", text_value),
    "boot-protocol": ("boot_protocol", text_value),
    "console": ("console", text_value),
    "autostart": ("autostart", lambda value: bool(one_cell(value))),
    "restart-limit": ("restart", restart_value),
    "devices": ("devices", texts_value),
    "dma-trusted": ("dma_trusted", lambda value: bool(one_cell(value))),
    "hotplug-ports": ("hotplug_ports", one_cell),
    "virtual-interrupts": ("virtual_interrupts", lambda value: bool(one_cell(value))),
}


def manifest_vm(name, properties, folder):
    """A VM's node as (VmSpec, files)"""
    spec, files = {"name": name, "autostart": True}, {}
    for key, value in properties.items():
        if key not in PROPERTIES:
            raise Usage(f"/vms/{name}: {key}: this property is not known; known are {', '.join(PROPERTIES)}")
        to, read = PROPERTIES[key]
        try:
            value = read(value)
        except ValueError as e:
            raise Usage(f"/vms/{name}: {key}: {e}") from None
        if to:
            spec[to] = value
        else:
            files[key] = os.path.join(folder, value)
    if "kernel" not in files:
        raise Usage(f"/vms/{name}: kernel: this property is required")
    return spec, files


def manifest_vms(path):
    """All VMs of a manifest; its images stand beside it."""
    blob = compile_tree(path)
    try:
        _, nodes = fdt(blob)
    except (struct.error, ValueError, KeyError, IndexError):
        raise Usage(f"{path}: this is not a device tree") from None
    vms = nodes.get("vms", ({}, {}))[1]
    if not vms:
        raise Usage(f"{path}: /vms: there is no VM in it")
    bad = [name for name in vms if not NAME.match(name)]
    if bad:
        raise Usage(f"{path}: /vms/{bad[0]}: a name is 1 to 31 of a-z 0-9 -")
    return [manifest_vm(name, properties, os.path.dirname(path)) for name, (properties, _) in vms.items()]
