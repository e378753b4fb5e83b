# Decides what "a CUDA device" is in this build: SEQRANK_CUDA_DEVICE = none, native or emulated.
# Finds an installed toolkit, or pip's packages below SEQRANK_CUDA_ROOT.

function(seqrank_find_pip_cuda)
  # pip: nvidia/cu13/{bin,include,lib}, nvidia/{cudnn,nccl}/{include,lib}.
  file(GLOB nvcc "${SEQRANK_CUDA_ROOT}/cu*/bin/nvcc" "${SEQRANK_CUDA_ROOT}/cuda_nvcc/bin/nvcc")
  if(NOT nvcc)
    message(FATAL_ERROR "SEQRANK_CUDA_ROOT=${SEQRANK_CUDA_ROOT}: no nvcc below it; give the folder "
                        "nvidia of site-packages, with nvidia-cuda-nvcc installed")
  endif()
  list(GET nvcc 0 nvcc)
  cmake_path(GET nvcc PARENT_PATH bin)
  cmake_path(GET bin PARENT_PATH root)
  set(CMAKE_CUDA_COMPILER ${nvcc} CACHE FILEPATH "nvcc of pip's packages")
  set(CUDAToolkit_ROOT ${root} CACHE PATH "CUDA of pip's packages")
  # The packages hold libx.so.N without the libx.so that CMake looks for.
  foreach(library cudart cublasLt)
    file(GLOB found "${root}/lib/lib${library}.so.*")
    if(NOT found)
      message(FATAL_ERROR "SEQRANK_CUDA_ROOT=${SEQRANK_CUDA_ROOT}: no lib${library} in ${root}/lib; "
                          "install nvidia-cuda-runtime and nvidia-cublas")
    endif()
    list(GET found 0 found)
    set(CUDA_${library}_LIBRARY ${found} CACHE FILEPATH "of pip's packages")
  endforeach()
  set(CUDA_CUDART ${CUDA_cudart_LIBRARY} CACHE FILEPATH "of pip's packages")
endfunction()

if(SEQRANK_CUDA STREQUAL "OFF")
  set(SEQRANK_CUDA_DEVICE none)
elseif(SEQRANK_CUDA STREQUAL "EMULATED")
  find_path(SEQRANK_CUDA_HEADERS cuda_runtime_api.h
    HINTS ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES include REQUIRED)
  set(SEQRANK_CUDA_DEVICE emulated)
elseif(SEQRANK_CUDA STREQUAL "AUTO")
  if(SEQRANK_CUDA_ROOT)
    seqrank_find_pip_cuda()
  endif()
  find_package(CUDAToolkit QUIET)
  if(CUDAToolkit_FOUND)
    if(NOT CMAKE_CUDA_COMPILER)
      set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE})
    endif()
    if(NOT CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80 90)
    endif()
    enable_language(CUDA)
    # CMake 3.25 does not know that nvcc speaks C++20.
    set(CMAKE_CUDA_STANDARD 20)
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
    list(APPEND CMAKE_CUDA_COMPILE_FEATURES cuda_std_20)
    find_path(SEQRANK_CUDNN_HEADERS cudnn.h
      HINTS ${SEQRANK_CUDA_ROOT}/cudnn/include ${CUDAToolkit_INCLUDE_DIRS} REQUIRED)
    find_library(SEQRANK_CUDNN NAMES cudnn libcudnn.so.9
      HINTS ${SEQRANK_CUDA_ROOT}/cudnn/lib ${CUDAToolkit_LIBRARY_DIR} REQUIRED)
    find_path(SEQRANK_NCCL_HEADERS nccl.h
      HINTS ${SEQRANK_CUDA_ROOT}/nccl/include ${CUDAToolkit_INCLUDE_DIRS} REQUIRED)
    find_library(SEQRANK_NCCL NAMES nccl libnccl.so.2
      HINTS ${SEQRANK_CUDA_ROOT}/nccl/lib ${CUDAToolkit_LIBRARY_DIR} REQUIRED)
    set(SEQRANK_CUDA_DEVICE native)
    message(STATUS "CUDA ${CUDAToolkit_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}, "
                   "cuDNN ${SEQRANK_CUDNN}, NCCL ${SEQRANK_NCCL}")
  else()
    set(SEQRANK_CUDA_DEVICE none)
    message(STATUS "CUDA not found: building for the CPU only (-DSEQRANK_CUDA_ROOT= names pip's "
                   "packages)")
  endif()
else()
  message(FATAL_ERROR "SEQRANK_CUDA=${SEQRANK_CUDA}: OFF, AUTO or EMULATED")
endif()
