/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/boot/bzimage.h"

#include "machine/boot/layout.h"
#include "tests/support/boot_sample.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"

#include <string.h>

static GuestMemory *new_memory(void)
{
    GuestMemory *mem = guest_mem_new(NULL);

    ck_assert(guest_mem_add_plain(mem, SAMPLE_RAM, NULL));
    return mem;
}

START_TEST(kernel_goes_to_its_preferred_address)
{
    g_autoptr(GuestMemory) mem = new_memory();
    SampleBzimage image = boot_sample_bzimage();
    VcpuEntry entry;

    ck_assert(boot_sample_load(mem, &image, sizeof(image), "", &entry, NULL));
    ck_assert_int_eq(entry.mode, VCPU_ENTRY_LONG64);
    ck_assert_uint_eq(entry.rip, 0x1000200);
    ck_assert_mem_eq(guest_mem_ptr(mem, GPA(0x1000000), sizeof(image.kernel), GUEST_READ, NULL),
                     image.kernel, sizeof(image.kernel));
}
END_TEST

START_TEST(setup_header_travels_to_the_zero_page)
{
    g_autoptr(GuestMemory) mem = new_memory();
    SampleBzimage image = boot_sample_bzimage();
    VcpuEntry entry;

    ck_assert(boot_sample_load(mem, &image, sizeof(image), "quiet", &entry, NULL));

    const struct boot_params *params =
        guest_mem_ptr(mem, GPA(entry.rsi), sizeof(*params), GUEST_READ, NULL);

    ck_assert_uint_eq(params->hdr.version, 0x020f);
    ck_assert_uint_eq(params->hdr.init_size, 0x100000);
    ck_assert_uint_eq(params->hdr.xloadflags, image.setup.xloadflags);
    ck_assert_uint_eq(params->hdr.type_of_loader, 0xff);
    ck_assert_uint_eq(params->hdr.code32_start, 0x1000000);
    ck_assert_str_eq(guest_mem_ptr(mem, GPA(params->hdr.cmd_line_ptr), 6, GUEST_READ, NULL),
                     "quiet");
}
END_TEST

START_TEST(a_header_of_an_older_protocol_is_not_read_past_its_end)
{
    g_autoptr(GuestMemory) mem = new_memory();
    SampleBzimage image = boot_sample_bzimage();
    VcpuEntry entry;

    image.setup.jump = 0x62eb; /* ends right after init_size */
    image.setup.handover_offset = 0xdeadbeef;
    ck_assert(boot_sample_load(mem, &image, sizeof(image), "", &entry, NULL));

    const struct boot_params *params =
        guest_mem_ptr(mem, GPA(entry.rsi), sizeof(*params), GUEST_READ, NULL);

    ck_assert_uint_eq(params->hdr.init_size, 0x100000);
    ck_assert_uint_eq(params->hdr.handover_offset, 0);
}
END_TEST

static const struct {
    const char *message;
    size_t offset;
    unsigned size;
    uint64_t value;
} wrong_fields[] = {
    {"vmlinux: setup header: boot_flag is 0x0, expected 0xaa55",
     offsetof(SampleBzimage, setup.boot_flag), 2, 0},
    {"vmlinux: setup header: version is 0x020a, expected at least 0x020c",
     offsetof(SampleBzimage, setup.version), 2, 0x020a},
    {"vmlinux: setup header ends at 0x212, expected at least 0x264",
     offsetof(SampleBzimage, setup.jump), 2, 0x10eb},
    {"vmlinux: setup header: loadflags is 0x0, expected bit 0 (loaded at 1 MiB or above)",
     offsetof(SampleBzimage, setup.loadflags), 1, 0},
    {"vmlinux: setup header: xloadflags is 0x2, expected bit 0 (a 64-bit kernel)",
     offsetof(SampleBzimage, setup.xloadflags), 2, 2},
    {"vmlinux: setup header: pref_address is 0x1000000, expected a multiple of kernel_alignment, "
     "0x3000",
     offsetof(SampleBzimage, setup.kernel_alignment), 4, 0x3000},
    {"vmlinux: setup header: pref_address is 0x1001000, expected a multiple of kernel_alignment, "
     "0x200000",
     offsetof(SampleBzimage, setup.pref_address), 8, 0x1001000},
    {"vmlinux: truncated: setup header: syssize is 513, for 0x2010 bytes at offset 0x1000, "
     "the file has 0x3000",
     offsetof(SampleBzimage, setup.syssize), 4, 513},
    {"vmlinux: truncated: setup header: syssize is 0, for 0x0 bytes at offset 0x1000, "
     "the file has 0x3000",
     offsetof(SampleBzimage, setup.syssize), 4, 0},
    {"vmlinux: truncated: setup header: syssize is 512, for 0x2000 bytes at offset 0x20000, "
     "the file has 0x3000",
     offsetof(SampleBzimage, setup.setup_sects), 1, 255},
    {"vmlinux: kernel with its init_size takes 0x100000 bytes at guest address 0x20000000, "
     "RAM ends at 0x10000000",
     offsetof(SampleBzimage, setup.pref_address), 8, 0x20000000},
    {"vmlinux: kernel with its init_size takes 0x100000 bytes at guest address 0xffffffffffe00000, "
     "RAM ends at 0x10000000",
     offsetof(SampleBzimage, setup.pref_address), 8, UINT64_C(0xffffffffffe00000)},
    {"vmlinux: kernel with its init_size lies at guest address 0x0, expected at least 0x100000: "
     "the boot tables are below",
     offsetof(SampleBzimage, setup.pref_address), 8, 0},
    {"vmlinux: kernel with its init_size takes 0xf0000001 bytes at guest address 0x1000000, "
     "RAM ends at 0x10000000",
     offsetof(SampleBzimage, setup.init_size), 4, 0xf0000001},
};

START_TEST(each_wrong_field_is_named)
{
    SampleBzimage image = boot_sample_bzimage();

    store_le((uint8_t *)&image + wrong_fields[_i].offset, wrong_fields[_i].size,
             wrong_fields[_i].value);

    g_autofree char *said = boot_sample_refusal(&image, sizeof(image));

    ck_assert_str_eq(said, wrong_fields[_i].message);
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    SampleBzimage image = boot_sample_bzimage();

    for (size_t len = 0; len<sizeof(image); len += len> 0x1f0 && len < 0x280 ? 1 : 61) {
        g_autofree char *said = boot_sample_refusal(&image, len);

        ck_assert_msg(strcmp(said, "accepted") != 0, "accepted with %zu bytes", len);
    }
}
END_TEST

START_TEST(no_flipped_bit_of_the_header_does_harm)
{
    for (size_t i = 0; i < sizeof(struct setup_header) * 8; i++) {
        SampleBzimage image = boot_sample_bzimage();

        ((uint8_t *)&image.setup)[i / 8] ^= (uint8_t)(1u << (i % 8));

        g_autofree char *said = boot_sample_refusal(&image, sizeof(image));

        ck_assert_uint_ne(strlen(said), 0);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("boot_bzimage");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, kernel_goes_to_its_preferred_address);
    tcase_add_test(tc, setup_header_travels_to_the_zero_page);
    tcase_add_test(tc, a_header_of_an_older_protocol_is_not_read_past_its_end);
    tcase_add_loop_test(tc, each_wrong_field_is_named, 0, G_N_ELEMENTS(wrong_fields));
    tcase_add_test(tc, every_truncation_is_refused);
    tcase_add_test(tc, no_flipped_bit_of_the_header_does_harm);
    return suite_run("boot_bzimage", tc);
}
