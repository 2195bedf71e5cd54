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
tab=$(printf '\t')
has() { grep -qE "$1" "$file"; }
# Where a suite stands in several files, the class with the lowest digit counts.
find tests -name '*_test.cpp' -o -name '*_test.cu' | while read -r file; do
  op=${file#tests/}
  op=${op%_test.*}
  if has 'programs\.h"|getenv\("BIN"\)'; then class=1programs
  elif has 'free_memory\(\)'; then class=2alone
  elif [ "${op#core/cuda/}" = "$op" ] && ! has 'check_op|Device::cuda|cuda::|on_device|OnDevice'; then class=6cpu
  elif [ "${op#ops/}" = "$op" ]; then class=5gpu
  elif cat "$op.cu" "$op.cpp" 2>/dev/null | grep -qE 'gemm|[^_a-z](linears?|conv2d)\('; then class=3product
  else class=4op; fi
  sed -n "s/^\(TYPED_\)\{0,1\}TEST\(_F\|_P\)\{0,1\}(\([A-Za-z0-9_]*\),.*/$class$tab\3/p" "$file"
done | sort -u | awk -F '\t' '
  NR == FNR { if (!($2 in class)) class[$2] = substr($1, 2); next }
  /^[A-Za-z0-9_\/]+\./ {  # "Cases/Suite/0.  # TypeParam = ..."
    sub(/\..*/, "")
    n = split($0, part, "/")
    found = "cpu"
    for (i = 1; i <= n; ++i) if (part[i] in class) found = class[part[i]]
    print found "\t" $0
  }' - "$1"
