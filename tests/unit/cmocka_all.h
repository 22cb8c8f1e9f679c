/* cmocka.h with the headers that it expects to come first. */
#ifndef APPMGR_TEST_CMOCKA_ALL_H
#define APPMGR_TEST_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
