#include "capabilities.h"
#include "newborn.h"

#include <linux/capability.h>
#include <linux/prctl.h>
#include <sys/syscall.h>

ON_FOREIGN_STACK static long control(long option, long a, long b)
{
    return newborn_call(SYS_prctl, option, a, b, 0, 0);
}

ON_FOREIGN_STACK long capabilities_bound(uint64_t keep)
{
    for (long number = 0; number < 64; number++) {
        long known = control(PR_CAPBSET_READ, number, 0);
        long error = known > 0 && !(keep & 1ULL << number) ? control(PR_CAPBSET_DROP, number, 0) : 0;

        if (known < 0)
            break; /* the kernel has no more */
        if (error)
            return error;
    }
    return control(PR_SET_KEEPCAPS, 1, 0);
}

ON_FOREIGN_STACK long capabilities_take(uint64_t keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    long error;

    for (int half = 0; half < 2; half++) {
        data[half].effective = (uint32_t)(keep >> 32 * half);
        data[half].permitted = data[half].inheritable = data[half].effective;
    }
    error = newborn_call(SYS_capset, (long)&header, (long)data, 0, 0, 0);
    if (!error)
        control(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0);
    for (long number = 0; number < 64 && !error; number++)
        if (keep & 1ULL << number)
            error = control(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number);
    return error;
}
