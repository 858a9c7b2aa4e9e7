from analytics.dbt_models import models_of
from analytics.dbt_project import PROJECT

dbt_models = models_of(PROJECT)
