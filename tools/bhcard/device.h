/* SPDX-License-Identifier: Apache-2.0 */
/* The PCI functions of a VM, and those that come and go through its ports (hot plug). */
#ifndef BHCARD_DEVICE_H
#define BHCARD_DEVICE_H

#include "op.h"

#define DEVICE_NAME 16 /* "0000:01:00.0" */
#define DEVICE_VF_NAME 32 /* "0000:01:00.0/vf2" */

/* @id is as in struct machine_function. */
void device_name(uint32_t id, char out[DEVICE_NAME]);

/*
 * What function @index of @machine is called as a virtual one, "0000:01:00.0/vf2": they are counted in the order of the
 * scan. False when it is none.
 */
bool device_vf_name(const struct machine *machine, uint32_t index, char out[DEVICE_VF_NAME]);

/* What of @vm's functions @name names, if it is in a port; NULL otherwise. */
const struct plan_function *device_in_port(const struct vm *vm, const char *name);

/* True when the counts of @plan and the functions it names are within @machine's. */
bool devices_are_sane(const struct plan_vm *plan, const struct machine *machine);

/* Empties the ports of @plan. */
void devices_unplug_all(struct plan_vm *plan);

/* Plugs the function @name into the VM's first free port. @done is called exactly once, perhaps before this returns. */
void device_plug(struct vm *vm, const char *name, op_done_fn *done, void *context);

/*
 * Takes the function @name out of its port, at once with @force or where no guest runs; else the guest is asked
 * to give it back, and device_in_port() still finds it when @done is called.
 */
void device_unplug(struct vm *vm, const char *name, bool force, op_done_fn *done, void *context);

#endif
