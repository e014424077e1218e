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

bool device_realize(Device *dev, GError **error)
{
    if (dev->ops->realize && !dev->ops->realize(dev, error)) {
        g_prefix_error(error, "device %s: ", dev->id);
        return false;
    }
    return true;
}

void device_reset(Device *dev)
{
    if (dev->ops->reset) {
        dev->ops->reset(dev);
    }
}

bool device_drain(Device *dev, GError **error)
{
    if (dev->ops->drain && !dev->ops->drain(dev, error)) {
        g_prefix_error(error, "device %s: ", dev->id);
        return false;
    }
    return true;
}

void device_resume(Device *dev)
{
    if (dev->ops->resume) {
        dev->ops->resume(dev);
    }
}
