#include "capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ON_FOREIGN_STACK __attribute__((no_sanitize("address")))

ON_FOREIGN_STACK int capabilities_bound(uint64_t keep)
{
    for (unsigned long number = 0; number < 64; number++) {
        int known = prctl(PR_CAPBSET_READ, number, 0, 0, 0);

        if (known < 0)
            break; /* the kernel has no more */
        if (known && !(keep & 1ULL << number) && prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0)
            return -1;
    }
    return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
}

ON_FOREIGN_STACK int capabilities_take(uint64_t keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    for (int half = 0; half < 2; half++) {
        data[half].effective = (uint32_t)(keep >> 32 * half);
        data[half].permitted = data[half].inheritable = data[half].effective;
    }
    if (syscall(SYS_capset, &header, data) != 0)
        return -1;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (unsigned long number = 0; number < 64; number++)
        if (keep & 1ULL << number && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) != 0)
            return -1;
    return 0;
}
