/* SPDX-License-Identifier: Apache-2.0 */
/* A spin lock for the few things that several CPUs share: the console above all. */
#ifndef TESTS_GUEST_LIB_LOCK_H
#define TESTS_GUEST_LIB_LOCK_H

#include <stdint.h>

typedef struct SpinLock {
    uint32_t taken;
} SpinLock;

static inline void spin_lock(SpinLock *lock)
{
    while (__atomic_exchange_n(&lock->taken, 1, __ATOMIC_ACQUIRE)) {
        __asm__ volatile("pause");
    }
}

static inline void spin_unlock(SpinLock *lock)
{
    __atomic_store_n(&lock->taken, 0, __ATOMIC_RELEASE);
}

#endif
