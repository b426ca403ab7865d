// Entry of the native unit tests; each room has its own *_test.cc beside this file.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
