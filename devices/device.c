/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/device.h"

void *device_alloc(const DeviceOps *ops, const char *id, size_t size)
{
    Device *dev = g_malloc0(size);

    g_assert(size >= sizeof(Device));
    dev->ops = ops;
    dev->id = g_strdup(id);
    return dev;
}

void device_free(Device *dev)
{
    if (!dev) {
        return;
    }
    if (dev->ops->finalize) {
        dev->ops->finalize(dev);
    }
    g_free(dev->id);
    g_free(dev);
}

/* op may be NULL: an optional member that the device does without. */
static bool call(Device *dev, bool (*op)(Device *dev, GError **error), GError **error)
{
    if (op && !op(dev, error)) {
        g_prefix_error(error, "device %s: ", dev->id);
        return false;
    }
    return true;
}

bool device_realize(Device *dev, GError **error)
{
    return call(dev, dev->ops->realize, error);
}

void device_reset(Device *dev)
{
    if (dev->ops->reset) {
        dev->ops->reset(dev);
    }
}

bool device_boot(Device *dev, GError **error)
{
    return call(dev, dev->ops->boot, error);
}

bool device_restored(Device *dev, const DeviceRestore *restore, GError **error)
{
    if (dev->ops->restored && !dev->ops->restored(dev, restore, error)) {
        g_prefix_error(error, "device %s: ", dev->id);
        return false;
    }
    return true;
}

bool device_drain(Device *dev, GError **error)
{
    return call(dev, dev->ops->drain, error);
}

void device_resume(Device *dev)
{
    if (dev->ops->resume) {
        dev->ops->resume(dev);
    }
}
