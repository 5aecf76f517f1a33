# Each unit of isa/ gets the flags of its instruction set and nobody else does. -O2 also in debug builds: these are
# loops over registers, and the sanitizers check them all the same.
set(isa_folder ${CMAKE_CURRENT_SOURCE_DIR}/src/kernels/isa)
target_sources(metier_kernels PRIVATE ${isa_folder}/scalar.cc)
set_source_files_properties(${isa_folder}/scalar.cc PROPERTIES COMPILE_OPTIONS "-O2")
if(NOT METIER_SCALAR AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_sources(metier_kernels PRIVATE ${isa_folder}/avx2.cc ${isa_folder}/avx512.cc)
  set_source_files_properties(${isa_folder}/avx2.cc PROPERTIES COMPILE_OPTIONS "-O2;-mavx2;-mfma;-mf16c")
  set(avx512_flags -O2 -mavx512f -mavx512dq)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND avx512_flags -Wno-uninitialized -Wno-maybe-uninitialized) # false in GCC 12's own header (_mm256_undefined_pd)
  endif()
  set_source_files_properties(${isa_folder}/avx512.cc PROPERTIES COMPILE_OPTIONS "${avx512_flags}")
  set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/src/kernels/dispatch.cc PROPERTIES
                              COMPILE_DEFINITIONS "METIER_HAVE_AVX2;METIER_HAVE_AVX512")
endif()
