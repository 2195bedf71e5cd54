#!/bin/sh
# The suites in LIST, which is what the test program answers to --gtest_list_tests, each with a class
# that is told from the sources of the tests. A line each: class <TAB> suite
#   op        an op's proof, kernels included
#   product   the same, matrix products among them, which cuBLASLt computes
#   gpu       whatever else uses the device
#   alone     counts the memory of the device, so nobody else may use it meanwhile
#   cpu       no device
#   programs  starts programs, of which a bundle has only some
#   suites.sh LIST
set -u
awk '
  FILENAME != file {
    file = FILENAME
    is_test = file ~ /^tests\//
    place = file
    sub(/^tests\//, "", place)
    sub(/(_test)?\.(cpp|cu)$/, "", place)
  }
  !is_test { if (/gemm|[^_a-z](linears?|conv2d)\(/) product[place] = 1; next }
  /programs\.h"|getenv\("BIN"\)/ { programs[place] = 1 }
  /free_memory\(\)/ { alone[place] = 1 }
  place ~ /^core\/cuda\// || /check_op|Device::cuda|cuda::|on_device|OnDevice/ { gpu[place] = 1 }
  match($0, /^(TYPED_)?TEST(_F|_P)?\([A-Za-z0-9_]+,/) {
    name = substr($0, RSTART, RLENGTH - 1)
    sub(/.*\(/, "", name)
    if (!((name, place) in known)) { known[name, place] = 1; places[name] = places[name] " " place }
  }
  # Where a suite stands in several files, the first that fits any of them.
  function class(name,  n, i, part, rank, best) {
    best = 6
    n = split(places[name], part, " ")
    for (i = 1; i <= n; ++i) {
      if (part[i] in programs) rank = 1
      else if (part[i] in alone) rank = 2
      else if (!(part[i] in gpu)) rank = 6
      else if (part[i] !~ /^ops\//) rank = 3
      else rank = part[i] in product ? 4 : 5
      if (rank < best) best = rank
    }
    split("programs alone gpu product op cpu", part, " ")
    return part[best]
  }
  END {
    while ((getline line <LIST) > 0) {  # "Cases/Suite/0.  # TypeParam = ..."
      if (line !~ /^[A-Za-z0-9_\/]+\./) continue
      sub(/\..*/, "", line)
      n = split(line, part, "/")
      name = line
      for (i = 1; i <= n; ++i) if (part[i] in places) name = part[i]
      print class(name) "\t" line
    }
  }' LIST="$1" $(find tests -name '*_test.cpp' -o -name '*_test.cu') ops/*.cpp ops/*.cu ops/*/*.cpp \
  ops/*/*.cu
