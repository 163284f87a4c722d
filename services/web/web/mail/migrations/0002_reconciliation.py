import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mail', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='email',
            name='dispatched_at',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), help_text='When its latest message was due to be published'),
        ),
        migrations.AddField(
            model_name='email',
            name='republished',
            field=models.PositiveSmallIntegerField(default=0, help_text='How often its message was lost and published again'),
        ),
        migrations.AddIndex(
            model_name='email',
            index=models.Index(condition=models.Q(('state__in', ['queued', 'sending', 'retrying'])), fields=['dispatched_at'], name='email_unfinished'),
        ),
    ]
