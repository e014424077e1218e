/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/state_tables.h"

#include "devices/platform/cmos.h"
#include "devices/platform/debugexit.h"
#include "devices/platform/ged.h"
#include "devices/platform/i8042.h"
#include "devices/platform/ioapic.h"
#include "devices/platform/pvpanic.h"
#include "devices/platform/vmclock.h"
#include "devices/platform/vmgenid.h"
#include "devices/serial/isa_serial.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/mmio.h"
#include "devices/virtio/rng.h"

const VmStateDesc *const device_state_tables[] = {
    &cmos_vmstate,        &debugexit_vmstate,  &ged_vmstate,     &i8042_vmstate,
    &ioapic_vmstate,      &isa_serial_vmstate, &pvpanic_vmstate, &virtio_blk_vmstate,
    &virtio_mmio_vmstate, &virtio_rng_vmstate, &vmclock_vmstate, &vmgenid_vmstate,
};
const size_t device_num_state_tables = G_N_ELEMENTS(device_state_tables);
