/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_REQUEST_H
#define DEVICES_REQUEST_H

/*
 * What a device asks of the machine on the guest's behalf: reset, power off, exit.  Made on the
 * vCPU thread that touched the register, with no lock of the device held; whoever takes it only
 * notes it and returns, because that vCPU is still inside its exit.
 */

#include <stdint.h>

typedef struct Request {
    void (*fn)(void *opaque, uint32_t value);
    void *opaque;
} Request;

/* A request that nobody takes (fn == NULL) is dropped. */
static inline void request_make(const Request *request, uint32_t value)
{
    if (request->fn) {
        request->fn(request->opaque, value);
    }
}

#endif
