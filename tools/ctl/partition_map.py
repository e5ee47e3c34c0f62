# SPDX-License-Identifier: Apache-2.0
"""plan: who owns which core and which memory, as text and as a picture."""
from ctl.client import Usage, path_of
from ctl.words import GIB, count_text, printable, show_json, size_text, table

OWN, FREE = "Bulkhead", "Free"  # no VM can have such a name


class Map:
    """Who owns which core and which memory of a machine"""

    def __init__(self, machine, capacity, vms):
        self.machine, self.vms = machine, vms
        self.names = [vm["name"] for vm in vms]
        self.cores = dict.fromkeys(range(machine["cores"]), FREE)
        self.cores.update({c: vm["name"] for vm in vms for c in vm.get("cores") or []})
        self.cores[machine["management_core"]] = OWN
        spans = [(r["base"], r["size"], vm["name"]) for vm in vms for r in vm.get("regions") or []]
        spans += [(e["base"], e["size"], FREE) for e in capacity["extents"]]
        spans += [(e["base"], e["size"], OWN) for e in machine.get("hypervisor") or []]
        self.spans = sorted(spans)

    def banks(self):
        """Spans that are less than 1 GiB apart, together"""
        banks = []
        for span in self.spans:
            if not banks or span[0] - (banks[-1][-1][0] + banks[-1][-1][1]) >= GIB:
                banks.append([])
            banks[-1].append(span)
        return banks

    def rest(self):
        """Usable memory that is no VM's and not free: the hypervisor's own and what it has for VMs"""
        return max(0, self.machine["memory"] - sum(size for _, size, _ in self.spans))

    def title(self):
        m = self.machine
        name = f"{m.get('model') or m['name']}, {m.get('arch')}"
        cores, vms = count_text(m["cores"], "core"), count_text(len(self.vms), "VM")
        return f"{name}: {cores}, {size_text(m['memory'])} of usable memory, {vms}"


def vm_text(vm):
    regions = vm.get("regions") or []
    return f"{vm['state']}, " + (f"{count_text(len(vm['cores']), 'core')}, {size_text(vm['memory'])} in "
                                 f"{count_text(len(regions), 'extent')}" if regions else "owns nothing yet")


def core_lines(owners, width=9):
    """Cells of equal width, eight in a row"""
    cells = [(str(c), owner if len(owner) < width else owner[:width - 3] + "..") for c, owner in owners.items()]
    in_row = 8
    for i in range(0, len(cells), in_row):
        for line in zip(*cells[i:i + in_row]):
            yield "  " + "".join(f"{word:<{width}}" for word in line).rstrip()


def span_lines(plan):
    width = 24
    for bank in plan.banks():
        low, end = bank[0][0], bank[-1][0] + bank[-1][1]
        for base, size, owner in bank:
            left = (base - low) * width // (end - low)
            right = max(left + 1, (base + size - low) * width // (end - low))
            bar = "." * left + ("-" if owner == FREE else "#") * (right - left)
            yield f"  0x{base:010x}-0x{base + size:010x}  {size_text(size):>10}  {bar:.<{width}}  {owner}"
    if plan.rest():
        yield f"  {size_text(plan.rest())} more: the hypervisor's, and tables and images it keeps for VMs"


def map_lines(plan):
    yield f"{plan.machine['name']}: {plan.title()}"
    yield from ["", "Cores", *core_lines(plan.cores), "", "Memory", *span_lines(plan), "", "VMs"]
    if plan.vms:
        yield from ("  " + line for line in table([[vm["name"], vm_text(vm)] for vm in plan.vms]))
    else:
        yield "  none"


class Svg:
    """The map as a picture, in the layout of `bhmanifest plan --svg`"""
    WIDTH, MARGIN, BAR, HEIGHT = 1080, 40, 830, 46
    CORE_WIDTH, CORE_HEIGHT, GAP, ROW = 84, 54, 10, 32
    INK, FAINT, GREY, WHITE = "#1f2933", "#7b8794", "#5f6b7a", "#ffffff"
    PALETTE = [("#2f6db5", WHITE), ("#e8862e", INK), ("#3a9d5d", WHITE), ("#8e5bb5", WHITE), ("#e3c23c", INK),
               ("#c8443f", WHITE), ("#3fb3b8", INK), ("#d97fb0", INK), ("#8a6242", WHITE), ("#6b8f1f", WHITE),
               ("#1f4e79", WHITE), ("#f2b48a", INK), ("#9bd3a8", INK), ("#c3a6dc", INK), ("#a3282f", WHITE), ("#a6c8ec", INK)]
    STYLE = ("text{font-family:'DejaVu Sans',Verdana,sans-serif}.t{font-size:22px;font-weight:bold}"
             ".h{font-size:15px;font-weight:bold}.b{font-size:12px}.s{font-size:10.5px}"
             ".n{font-size:17px;font-weight:bold}.c{text-anchor:middle}.e{text-anchor:end}")

    def __init__(self, plan):
        self.plan, self.out, self.y = plan, [], 68.0
        self.text(self.MARGIN, 46, "t", self.INK, f"Bulkhead: who owns what on {plan.machine['name']}")
        self.text(self.MARGIN, 68, "b", self.FAINT, plan.title())
        self.draw_cores()
        self.draw_memory()
        self.draw_owners()

    def document(self):
        height = int(self.y + self.MARGIN)
        return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>',
                          f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.WIDTH} {height}" width="{self.WIDTH}" '
                          f'height="{height}">', f"<style>{self.STYLE}</style>",
                          f'<rect width="100%" height="100%" fill="{self.WHITE}"/>', *self.out, "</svg>", ""])

    def colours(self, owner):
        if owner == FREE:
            return self.WHITE, self.FAINT
        return (self.GREY, self.WHITE) if owner == OWN else self.PALETTE[self.plan.names.index(owner) % len(self.PALETTE)]

    def text(self, x, y, style, fill, text):
        safe = "".join(f"&#{ord(c)};" if c in "<>&" else c for c in printable(text))
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" fill="{fill}">{safe}</text>')

    def box(self, x, y, width, height, owner):
        edge = ' stroke="#b8c2cc" stroke-dasharray="4 3"' if owner == FREE else ""
        self.out.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="5" '
                        f'fill="{self.colours(owner)[0]}"{edge}/>')

    def heading(self, title):
        self.y += 44
        self.text(self.MARGIN, self.y, "h", self.INK, title)
        self.y += 16

    def draw_cores(self):
        self.heading("Cores")
        step = self.CORE_WIDTH + self.GAP
        in_row = (self.WIDTH - 2 * self.MARGIN + self.GAP) // step
        for i, (core, owner) in enumerate(self.plan.cores.items()):
            if i and i % in_row == 0:
                self.y += self.CORE_HEIGHT + self.GAP
            x, ink = self.MARGIN + i % in_row * step, self.colours(owner)[1]
            self.box(x, self.y, self.CORE_WIDTH, self.CORE_HEIGHT, owner)
            self.text(x + self.CORE_WIDTH / 2, self.y + 23, "n c", ink, core)
            self.text(x + self.CORE_WIDTH / 2, self.y + 42, "s c", ink, owner[:11] + (".." if len(owner) > 11 else ""))
        self.y += self.CORE_HEIGHT

    def draw_memory(self):
        self.heading("Memory")
        for bank in self.plan.banks():
            low, end = bank[0][0], bank[-1][0] + bank[-1][1]
            self.y += 12
            self.text(self.MARGIN, self.y, "s", self.FAINT, f"0x{low:x}")
            self.text(self.MARGIN + self.BAR, self.y, "s e", self.FAINT, f"0x{end:x}")
            self.y += 6
            self.out.append(f'<rect x="{self.MARGIN}" y="{self.y:.1f}" width="{self.BAR}" height="{self.HEIGHT}" '
                            'fill="#e9edf1"/>')
            self.draw_spans([s for s in bank if s[2] != FREE], low, end - low)
            self.y += 8

    def draw_spans(self, spans, low, length):
        hanging = []
        for base, size, owner in spans:
            x, width = self.MARGIN + (base - low) / length * self.BAR, max(3.0, size / length * self.BAR)
            x = min(x, self.MARGIN + self.BAR - width)
            fill, ink = self.colours(owner)
            self.out.append(f'<rect x="{x:.2f}" y="{self.y:.1f}" width="{width:.2f}" height="{self.HEIGHT}" fill="{fill}" '
                            f'stroke="{self.WHITE}" stroke-width="{1 if width > 6 else 0}">'
                            f"<title>{owner} 0x{base:x}-0x{base + size:x}</title></rect>")
            if width >= max(64, len(owner) * 7.4 + 10):
                self.text(x + width / 2, self.y + 20, "b c", ink, owner)
                self.text(x + width / 2, self.y + 36, "s c", ink, size_text(size))
            else:
                hanging.append((x + 1, fill, owner, f"{size_text(size)} at 0x{base:x}"))
        self.y += self.HEIGHT
        self.draw_hanging(hanging)

    def draw_hanging(self, labels):
        """Each below its span, in the highest row where no line on its right crosses the text"""
        rows = {}
        for i in reversed(range(len(labels))):
            right = labels[i][0] + 11 + max(len(labels[i][2]) + 2, len(labels[i][3])) * 6.3
            rows[i] = 0
            for k in range(i + 1, len(labels)):
                if rows[k] >= rows[i] and labels[k][0] < right:
                    rows[i] = rows[k] + 1
        for i, (x, fill, owner, text) in enumerate(labels):
            y = self.y + 8 + rows[i] * self.ROW
            self.out.append(f'<path d="M{x:.1f} {self.y:.1f}V{y + 24:.1f}" stroke="{fill}" stroke-width="1.2" fill="none"/>')
            self.text(x + 5, y + 11, "b", self.INK, owner)
            self.text(x + 5, y + 24, "s", self.FAINT, text)
        self.y += 8 + (max(rows.values()) + 1) * self.ROW if rows else 0

    def draw_owners(self):
        self.heading("Owners")
        lines = [(vm["name"], vm["name"], vm_text(vm)) for vm in self.plan.vms]
        lines += [(OWN, "Bulkhead", "the hypervisor and its management core"), (FREE, "free", "for further VMs")]
        for owner, name, text in lines:
            self.box(self.MARGIN, self.y, 22, 16, owner)
            self.text(self.MARGIN + 32, self.y + 12.5, "b", self.INK, name)
            self.text(self.MARGIN + 280, self.y + 12.5, "s", self.FAINT, text)
            self.y += 24


def cmd_plan(session):
    name = session.machine()
    machine = session.client.get(path_of(name))
    capacity = session.client.get(path_of(name, "capacity"))
    vms = session.vms(name)
    plan = Map(machine, capacity, vms)
    if session.args.svg:
        try:
            with open(session.args.svg, "w", encoding="utf-8") as f:
                f.write(Svg(plan).document())
        except OSError as e:
            raise Usage(f"{session.args.svg}: {e.strerror}") from None
    if session.json:
        show_json({"machine": machine, "capacity": capacity, "vms": vms})
    elif not session.args.svg:
        print("\n".join(map_lines(plan)))
