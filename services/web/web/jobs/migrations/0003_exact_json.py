from django.db import migrations

import web.postgresql.exact_json


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0002_reconciliation'),
    ]

    operations = [
        migrations.AlterField(
            model_name='job',
            name='arguments',
            field=web.postgresql.exact_json.ExactJSONField(),
        ),
        migrations.AlterField(
            model_name='job',
            name='result',
            field=web.postgresql.exact_json.ExactJSONField(null=True),
        ),
    ]
