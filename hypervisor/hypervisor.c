/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/hypervisor.h"

size_t debug_register_offset(const DebugTarget *target, size_t index)
{
    size_t offset = 0;

    for (size_t i = 0; i < index; i++) {
        offset += debug_register_bytes(&target->registers[i]);
    }
    return offset;
}

void hypervisor_free(Hypervisor *hv)
{
    if (hv) {
        hv->ops->free(hv);
    }
}

bool hypervisor_init(Hypervisor *hv, unsigned ioapic_pins, GError **error)
{
    return !hv->ops->init || hv->ops->init(hv, ioapic_pins, error);
}

bool hypervisor_settle(Hypervisor *hv, GError **error)
{
    return !hv->ops->settle || hv->ops->settle(hv, error);
}

bool hypervisor_set_memory_slot(Hypervisor *hv, const MemorySlot *slot, GError **error)
{
    return hv->ops->set_memory_slot(hv, slot, error);
}

bool hypervisor_signal_msi(Hypervisor *hv, const MsiMessage *msi, GError **error)
{
    return hv->ops->signal_msi(hv, msi, error);
}

bool hypervisor_set_gsi_routes(Hypervisor *hv, const GsiRoute *routes, size_t count, GError **error)
{
    return hv->ops->set_gsi_routes(hv, routes, count, error);
}

bool hypervisor_set_irqfd(Hypervisor *hv, unsigned gsi, int fd, bool assign, GError **error)
{
    return hv->ops->set_irqfd(hv, gsi, fd, assign, error);
}

bool hypervisor_set_ioeventfd(Hypervisor *hv, const IoEventFd *io, bool assign, GError **error)
{
    return hv->ops->set_ioeventfd(hv, io, assign, error);
}
