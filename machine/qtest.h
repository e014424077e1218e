/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_QTEST_H
#define MACHINE_QTEST_H

/*
 * The qtest protocol: a test program in the place of the guest.  One command a line, one answer:
 *
 *     inb inw inl PORT                  OK 0xVALUE
 *     outb outw outl PORT VALUE         OK
 *     readb readw readl readq ADDRESS   OK 0xVALUE        RAM, else a device
 *     writeb ... ADDRESS VALUE          OK
 *     read ADDRESS SIZE                 OK 0xHEX...       b64read: in base 64
 *     write ADDRESS SIZE 0xHEX...       OK                b64write: from base 64
 *     memset ADDRESS SIZE BYTE          OK
 *     clock_step [NS] | clock_set NS    OK NOW            without NS: to the next timer
 *     irq_intercept_in PATH             OK                then, at any time: IRQ raise N, IRQ lower N
 *     endianness                        OK little
 *
 * Anything else is answered with FAIL and the reason.
 */

#include "machine/vm.h"

typedef struct Qtest Qtest;

/* Takes over the VM's clock and listens on the chardev.  The VM must outlive it. */
Qtest *qtest_new(Vm *vm, const char *chardev, GError **error);
void qtest_free(Qtest *qtest); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Qtest, qtest_free)

#endif
