/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM on chosen nodes of the host.  Skipped, with status 77 and the reason, where the kernel
 * knows no nodes or lets nobody choose.
 */
#include "hypervisor/ram_backend.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SKIP         77
#define RAM_BYTES    (4 * MIB)
#define NODE_BITS    1024u
#define NODE_WORDS   (NODE_BITS / (8 * sizeof(unsigned long)))
#define NO_SUCH_NODE 63u

static RamBackendConfig on_nodes(RamPolicy policy, uint64_t nodes)
{
    return (RamBackendConfig){.id = "ram",
                              .kind = RAM_ANONYMOUS,
                              .size = RAM_BYTES,
                              .policy = policy,
                              .host_nodes = nodes};
}

/* The policy of the memory at hva, or the negative errno; nodes has NODE_WORDS words. */
static int policy_of(void *hva, unsigned long *nodes)
{
    int mode = -1;

    memset(nodes, 0, NODE_WORDS * sizeof(*nodes));
    return syscall(SYS_get_mempolicy, &mode, nodes, NODE_BITS, hva, MPOL_F_ADDR) < 0 ? -errno
                                                                                     : mode;
}

/* The first node that this process may use, or the negative errno. */
static int first_node(void)
{
    unsigned long nodes[NODE_WORDS] = {0};

    if (syscall(SYS_get_mempolicy, NULL, nodes, NODE_BITS, NULL, MPOL_F_MEMS_ALLOWED) < 0) {
        return -errno;
    }
    return nodes[0] == 0 ? -ENODEV : __builtin_ctzl(nodes[0]);
}

static uint64_t usable_node(void)
{
    return UINT64_C(1) << first_node();
}

typedef struct PolicyCase {
    RamPolicy policy;
    int mode;
} PolicyCase;

static const PolicyCase policies[] = {
    {RAM_POLICY_PREFERRED, MPOL_PREFERRED},
    {RAM_POLICY_BIND, MPOL_BIND},
    {RAM_POLICY_INTERLEAVE, MPOL_INTERLEAVE},
};

START_TEST(all_of_the_memory_has_the_policy_that_was_asked_for)
{
    const RamBackendConfig config = on_nodes(policies[_i].policy, usable_node());
    g_autoptr(GError) error = NULL;
    g_autoptr(RamBackend) backend = ram_backend_new(&config, &error);

    ck_assert_msg(backend != NULL, "%s", error ? error->message : "");
    for (uint64_t at = 0; at < RAM_BYTES; at += RAM_BYTES - PAGE_BYTES) {
        unsigned long nodes[NODE_WORDS];

        ck_assert_int_eq(policy_of(backend->hva + at, nodes), policies[_i].mode);
        ck_assert_uint_eq(nodes[0], usable_node());
    }
}
END_TEST

START_TEST(without_a_policy_the_memory_is_the_processs_own)
{
    const RamBackendConfig config = on_nodes(RAM_POLICY_DEFAULT, 0);
    g_autoptr(RamBackend) backend = ram_backend_new(&config, NULL);
    unsigned long nodes[NODE_WORDS];

    ck_assert_ptr_nonnull(backend);
    ck_assert_int_eq(policy_of(backend->hva, nodes), MPOL_DEFAULT);
    ck_assert_uint_eq(nodes[0], 0);
}
END_TEST

/* Preallocation comes after the binding, or the pages would be wherever the thread was. */
START_TEST(preallocated_memory_lies_on_the_node)
{
    RamBackendConfig config = on_nodes(RAM_POLICY_BIND, usable_node());
    void *pages[RAM_BYTES / PAGE_BYTES];
    int nodes[G_N_ELEMENTS(pages)];

    config.prealloc = true;

    g_autoptr(RamBackend) backend = ram_backend_new(&config, NULL);

    ck_assert_ptr_nonnull(backend);
    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
        pages[i] = backend->hva + i * PAGE_BYTES;
    }
    ck_assert_int_eq(syscall(SYS_move_pages, 0, G_N_ELEMENTS(pages), pages, NULL, nodes, 0), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
        ck_assert_int_eq(nodes[i], first_node());
    }
}
END_TEST

/* A reset makes new pages; they belong where the old ones did. */
START_TEST(cleared_memory_keeps_its_policy)
{
    const RamBackendConfig config = on_nodes(RAM_POLICY_BIND, usable_node());
    g_autoptr(RamBackend) backend = ram_backend_new(&config, NULL);
    unsigned long nodes[NODE_WORDS];

    ck_assert_ptr_nonnull(backend);
    memset(backend->hva, 0xff, RAM_BYTES);
    ck_assert(ram_backend_clear(backend, NULL));
    ck_assert_uint_eq(backend->hva[RAM_BYTES - 1], 0);
    ck_assert_int_eq(policy_of(backend->hva, nodes), MPOL_BIND);
    ck_assert_int_eq(policy_of(backend->hva + RAM_BYTES - PAGE_BYTES, nodes), MPOL_BIND);
    ck_assert_uint_eq(nodes[0], usable_node());
}
END_TEST

START_TEST(a_node_that_is_not_there_is_told)
{
    const RamBackendConfig config = on_nodes(RAM_POLICY_BIND, UINT64_C(1) << NO_SUCH_NODE);
    g_autoptr(GError) error = NULL;

    ck_assert_ptr_null(ram_backend_new(&config, &error));
    ck_assert_ptr_nonnull(
        strstr(error->message, "memory ram: bind to host nodes 0x8000000000000000: "));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("ram_numa");
    int node = first_node();

    if (node < 0) {
        printf("skipped: this host's kernel tells of no memory node: %s\n", g_strerror(-node));
        return SKIP;
    }
    tcase_add_loop_test(tc, all_of_the_memory_has_the_policy_that_was_asked_for, 0,
                        G_N_ELEMENTS(policies));
    tcase_add_test(tc, without_a_policy_the_memory_is_the_processs_own);
    tcase_add_test(tc, preallocated_memory_lies_on_the_node);
    tcase_add_test(tc, cleared_memory_keeps_its_policy);
    tcase_add_test(tc, a_node_that_is_not_there_is_told);
    return suite_run("ram_numa", tc);
}
