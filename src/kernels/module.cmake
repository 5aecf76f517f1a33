# Each unit of isa/ gets the flags of its instruction set and nobody else does. -O2 also in debug builds: these are
# loops over registers, and the sanitizers check them all the same.
set(isa_folder ${CMAKE_CURRENT_SOURCE_DIR}/src/kernels/isa)
# Unrolled tiles with a check inlined at every access take minutes to compile: AddressSanitizer's checks are calls here,
# and UndefinedBehaviorSanitizer stays out.
set(isa_flags -O2)
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=address,undefined")
  # Nine tenths of a test's time would be checks of what kernels read and write. Their own tests link metier_kernels_checked,
  # which has them; who runs models runs kernels without.
  set(unchecked "$<BOOL:$<TARGET_PROPERTY:METIER_UNCHECKED>>")
  list(APPEND isa_flags -fno-sanitize=undefined "$<${unchecked}:-fno-sanitize=address>")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND isa_flags "$<$<NOT:${unchecked}>:--param=asan-instrumentation-with-call-threshold=0>")
  else()
    list(APPEND isa_flags "$<$<NOT:${unchecked}>:SHELL:-mllvm -asan-instrumentation-with-call-threshold=0>")
  endif()
endif()
target_sources(metier_kernels PRIVATE ${isa_folder}/scalar.cc)
set_source_files_properties(${isa_folder}/scalar.cc PROPERTIES COMPILE_OPTIONS "${isa_flags}")
if(NOT METIER_SCALAR AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_sources(metier_kernels PRIVATE ${isa_folder}/avx2.cc ${isa_folder}/avx512.cc ${isa_folder}/avx512bf16.cc)
  set(avx2_flags ${isa_flags} -mavx2 -mfma -mf16c)
  set(avx512_flags ${isa_flags} -mavx512f -mavx512bw -mavx512dq -mavx512vnni)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # False: in GCC 12's own header (_mm256_undefined_pd), and where the first group of a block fills sums.
    list(APPEND avx2_flags -Wno-maybe-uninitialized)
    list(APPEND avx512_flags -Wno-uninitialized -Wno-maybe-uninitialized)
  endif()
  set_source_files_properties(${isa_folder}/avx2.cc PROPERTIES COMPILE_OPTIONS "${avx2_flags}")
  set_source_files_properties(${isa_folder}/avx512.cc PROPERTIES COMPILE_OPTIONS "${avx512_flags}")
  set_source_files_properties(${isa_folder}/avx512bf16.cc PROPERTIES COMPILE_OPTIONS "${avx512_flags};-mavx512bf16")
  set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/src/kernels/dispatch.cc PROPERTIES
                              COMPILE_DEFINITIONS "METIER_HAVE_AVX2;METIER_HAVE_AVX512")
endif()
if(NOT METIER_SCALAR AND CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  target_sources(metier_kernels PRIVATE ${isa_folder}/neon.cc ${isa_folder}/neondot.cc)
  set(neon_flags ${isa_flags})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND neon_flags -Wno-maybe-uninitialized) # as above
  endif()
  set_source_files_properties(${isa_folder}/neon.cc PROPERTIES COMPILE_OPTIONS "${neon_flags}")
  set_source_files_properties(${isa_folder}/neondot.cc PROPERTIES
                              COMPILE_OPTIONS "${neon_flags};-march=armv8.2-a+dotprod")
  set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/src/kernels/dispatch.cc PROPERTIES
                              COMPILE_DEFINITIONS METIER_HAVE_NEON)
endif()
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=address,undefined")
  get_target_property(kernel_sources metier_kernels SOURCES)
  add_library(metier_kernels_checked STATIC ${kernel_sources})
  target_link_libraries(metier_kernels_checked PUBLIC metier_base PRIVATE metier_settings)
  set_target_properties(metier_kernels PROPERTIES METIER_UNCHECKED ON)
endif()
