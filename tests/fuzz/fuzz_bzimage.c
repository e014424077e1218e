/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a kernel file for the bzImage loader (tests/fuzz/boot_input.h). */
#include "machine/boot/bzimage.h"

#include "tests/fuzz/boot_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return boot_input_run(&bzimage_loader, data, size);
}
