/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/objects.h"

#include "tests/unit/suite.h"
#include "util/error.h"

#include <string.h>

static bool backend(const char *text, MemoryBackendConfig *ret_config, GError **error)
{
    g_autoptr(PropBag) bag = props_parse(text, "qom-type", error);

    return bag && memory_backend_parse(bag, ret_config, error);
}

START_TEST(a_memory_backend_becomes_ram)
{
    g_autoptr(GError) error = NULL;
    MemoryBackendConfig config;

    ck_assert(backend("memory-backend-file,id=m,size=1G,mem-path=/t/m,share=on,readonly=on,"
                      "offset=1M,mem-prealloc=on,prealloc-threads=3,host-nodes=0-1,host-nodes=5,"
                      "policy=interleave,dump=off,merge=on,align=2M",
                      &config, &error));

    RamBackendConfig ram = memory_backend_to_ram(&config, "m", /* dump_guest_core= */ true);

    ck_assert_str_eq(ram.id, "m");
    ck_assert_int_eq(ram.kind, RAM_FILE);
    ck_assert_uint_eq(ram.size, 1 << 30);
    ck_assert_str_eq(ram.path, "/t/m");
    ck_assert_uint_eq(ram.offset, 1 << 20);
    ck_assert(ram.shared);
    ck_assert(ram.readonly);
    ck_assert(ram.rom);
    ck_assert(ram.prealloc);
    ck_assert_uint_eq(ram.prealloc_threads, 3);
    ck_assert(ram.exclude_from_core);
    ck_assert_int_eq(ram.policy, RAM_POLICY_INTERLEAVE);
    ck_assert_uint_eq(ram.host_nodes, 0x23);
    ck_assert_uint_eq(ram.huge_page_size, 0);
    memory_backend_clear(&config);
}
END_TEST

START_TEST(defaults_differ_by_kind)
{
    g_autoptr(GError) error = NULL;
    MemoryBackendConfig config;

    ck_assert(backend("memory-backend-ram,id=m,size=4K", &config, &error));
    ck_assert_int_eq(config.kind, RAM_ANONYMOUS);
    ck_assert(!config.share);
    ck_assert(
        backend("memory-backend-memfd,id=m,size=4K,hugetlb=on,hugetlbsize=1G", &config, &error));
    ck_assert_int_eq(config.kind, RAM_MEMFD);
    ck_assert(config.share);
    ck_assert_uint_eq(memory_backend_to_ram(&config, "m", true).huge_page_size, 1 << 30);
    ck_assert(backend("memory-backend-file,id=m,size=4K,mem-path=p,readonly=on,rom=off", &config,
                      &error));
    ck_assert(!config.share);
    ck_assert(!memory_backend_to_ram(&config, "m", true).rom);
    ck_assert(memory_backend_to_ram(&config, "m", false).exclude_from_core);
    memory_backend_clear(&config);
}
END_TEST

START_TEST(mistakes_in_a_backend_are_named)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"memory-backend-ram,id=m", "object memory-backend-ram: property 'size' is missing"},
        {"memory-backend-ram,id=m,size=1", "object memory-backend-ram: property 'size' is '1': "
                                           "expected a size of at least 4K"},
        {"memory-backend-ram,id=m,size=1G,mem-path=x",
         "object memory-backend-ram: unknown property 'mem-path'"},
        {"memory-backend-memfd,id=m,size=1G,hugetlbsize=3M",
         "object memory-backend-memfd: property 'hugetlbsize' is '3M': expected a power of two of "
         "at least 4K"},
        {"memory-backend-ram,id=m,size=1G,policy=bind", "object 'm': policy=bind needs host-nodes"},
        {"memory-backend-ram,id=m,size=1G,host-nodes=1",
         "object 'm': host-nodes needs a policy: preferred, bind or interleave"},
        {"iothread,id=m", "object 'm' is of type iothread: expected a memory backend"},
        {"memory-backend-rom,id=m",
         "unknown object type 'memory-backend-rom'; did you mean 'memory-backend-ram'?"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        MemoryBackendConfig config;

        ck_assert_msg(!backend(cases[i].text, &config, &error), "%s", cases[i].text);
        ck_assert_str_eq(error->message, cases[i].message);
    }
}
END_TEST

START_TEST(randomness_and_iothreads_have_their_settings)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PropBag) random = props_parse("rng-random,id=r", "qom-type", &error);
    g_autoptr(PropBag) builtin = props_parse("rng-builtin,id=r", "qom-type", &error);
    g_autoptr(PropBag) thread =
        props_parse("iothread,id=i,poll-max-ns=1000,thread-pool-max=8", "qom-type", &error);
    IoThreadConfig io;
    RngConfig rng;

    ck_assert(rng_parse(random, &rng, &error));
    ck_assert_str_eq(rng.filename, "/dev/urandom");
    rng_clear(&rng);
    ck_assert(rng_parse(builtin, &rng, &error));
    ck_assert_ptr_null(rng.filename);
    ck_assert(iothread_parse(thread, &io, &error));
    ck_assert_uint_eq(io.poll_max_ns, 1000);
    ck_assert(!rng_parse(thread, &rng, &error));
    ck_assert_str_eq(error->message,
                     "object 'i' is of type iothread: expected a source of randomness");
}
END_TEST

START_TEST(every_type_checks_itself)
{
    static const char *const good[] = {
        "memory-backend-ram,id=a,size=1M",
        "memory-backend-file,id=a,size=1M,mem-path=/x",
        "memory-backend-memfd,id=a,size=1M,seal=on",
        "iothread,id=a",
        "rng-random,id=a,filename=/dev/random",
        "rng-builtin,id=a",
        "secret,id=a,format=raw,file=/x",
    };
    size_t count;

    object_types(&count);
    ck_assert_uint_eq(count, G_N_ELEMENTS(good));
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(PropBag) bag = props_parse(good[i], "qom-type", &error);

        ck_assert_msg(object_check(bag, &error), "%s", good[i]);
        prop_bag_add(bag, "nonsense", "x");
        ck_assert(!object_check(bag, &error));
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("objects");

    tcase_add_test(tc, a_memory_backend_becomes_ram);
    tcase_add_test(tc, defaults_differ_by_kind);
    tcase_add_test(tc, mistakes_in_a_backend_are_named);
    tcase_add_test(tc, randomness_and_iothreads_have_their_settings);
    tcase_add_test(tc, every_type_checks_itself);
    return suite_run("objects", tc);
}
