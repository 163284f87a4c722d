from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Worker',
            fields=[
                ('node', models.TextField(primary_key=True, serialize=False)),
                ('service', models.TextField()),
                ('seen_at', models.DateTimeField()),
                ('clock_offset', models.FloatField()),
                ('holding', models.JSONField()),
                ('checks', models.JSONField()),
            ],
            options={
                'ordering': ['service', 'node'],
            },
        ),
    ]
