target_compile_definitions(metier_cli PRIVATE METIER_VERSION="${PROJECT_VERSION}")
